package distro

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/base/rootfs"
)

// newDistro returns a system in a temporary directory with the files given.
func newDistro(t *testing.T, files map[string]string) *Distro {
	t.Helper()
	root, err := rootfs.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	for name, text := range files {
		if err := root.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return New(Distro{
		Root:    root,
		Kernel:  func(string) error { return nil },
		Now:     func() time.Time { return time.Date(2026, 11, 21, 4, 0, 0, 0, time.UTC) },
		Version: "22.4.2",
	})
}

func read(t *testing.T, d *Distro, name string) string {
	t.Helper()
	data, err := d.Root.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
}

// debian returns the account files of a Debian 12 image.
func debian(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{"/etc/subuid": "", "/etc/subgid": "", "/etc/skel/.profile": "# profile\n"}
	names, err := filepath.Glob("testdata/debian12/etc/*")
	if err != nil || len(names) == 0 {
		t.Fatal("no account files", err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files["/etc/"+filepath.Base(name)] = string(data)
	}
	return files
}

var (
	dayField  = regexp.MustCompile(`(?m)^([^:\n]*:[^:\n]*):20778:`)
	hashField = regexp.MustCompile(`(\$6|\$y\$j9T)\$[^$:\n]+\$[^$:\n]+`)
)

func TestAccountsAsUseradd(t *testing.T) {
	needRoot(t)
	d := newDistro(t, debian(t))
	const hash = "$6$oracle$MjTcZ0JBrkHnCY9Z9sBzMgLYJ2GpB8x8XyJgEwqN1oQ4F7P9yY5b1Zy6yb7l3uZk2J6gqfH2r8uC4m3G6b0eB1"
	steps := []error{
		d.AddGroup("builders"),
		d.AddGroup("testers", "alice", "bob"),
		add(d, User{Name: "alice", Gecos: "Alice Example", PrimaryGroup: "builders", Groups: []string{"sudo", "audio"}, UID: "2001", Shell: "/bin/bash"}),
		d.LockPassword("alice"),
		add(d, User{Name: "bob", Password: hash, Home: "/srv/bob", Expire: "2032-09-01", Inactive: "5"}),
		add(d, User{Name: "carol", NoUserGroup: true}),
		d.SetPassword(false, map[string]string{"carol": hash}),
		d.LockPassword("carol"),
		add(d, User{Name: "dave"}),
		d.SetPassword(true, map[string]string{"dave": "secret-dave"}),
		add(d, User{Name: "erin", System: true, NoCreateHome: true, Shell: "/usr/sbin/nologin"}),
		add(d, User{Name: "frank"}),
		add(d, User{Name: "debian", Gecos: "Debian", Shell: "/bin/bash",
			Groups: strings.Split("adm,audio,cdrom,dialout,dip,floppy,netdev,plugdev,sudo,video", ",")}),
	}
	if err := errors.Join(steps...); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"passwd", "group", "gshadow", "shadow", "subuid", "subgid"} {
		want, err := os.ReadFile("testdata/users/" + name)
		if err != nil {
			t.Fatal(err)
		}
		got := read(t, d, "/etc/"+name)
		got = dayField.ReplaceAllString(got, "$1:<DAY>:")
		got = hashField.ReplaceAllString(got, "$1$$<SALT>$$<HASH>")
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("/etc/%s (-useradd +ours):\n%s", name, diff)
		}
	}
	home, err := d.Root.Stat("/home/debian/.profile")
	if err != nil {
		t.Fatal(err)
	}
	if uid, gid := owner(home); uid != 2006 || gid != 2006 {
		t.Errorf("home belongs to %d:%d", uid, gid)
	}
	if _, err := d.Root.Stat("/home/erin"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("system user has a home: %v", err)
	}
}

func add(d *Distro, u User) error {
	_, err := d.AddUser(u)
	return err
}

func TestAddUserTwice(t *testing.T) {
	needRoot(t)
	d := newDistro(t, debian(t))
	for i, want := range []bool{true, false} {
		added, err := d.AddUser(User{Name: "debian"})
		if err != nil || added != want {
			t.Errorf("call %d: added %v, error %v", i, added, err)
		}
	}
}

func TestAddUserRefuses(t *testing.T) {
	needRoot(t)
	cases := map[string]User{
		"line in gecos":    {Name: "a", Gecos: "x\nroot2::0:0::/:/bin/sh"},
		"colon in gecos":   {Name: "a", Gecos: "x:0"},
		"line in password": {Name: "a", Password: "!\nroot::0"},
		"line in name":     {Name: "a\nb"},
		"slash in name":    {Name: "../a"},
		"option as name":   {Name: "-f"},
		"empty name":       {},
		"relative home":    {Name: "a", Home: "home"},
		"line in inactive": {Name: "a", Inactive: "5\n:"},
		"id in use":        {Name: "a", UID: "0"},
		"bad id":           {Name: "a", UID: "x"},
		"bad group":        {Name: "a", Groups: []string{"g\nh"}},
		"bad day":          {Name: "a", Expire: "tomorrow"},
		"unknown gid":      {Name: "a", PrimaryGroup: "4711"},
	}
	for name, u := range cases {
		t.Run(name, func(t *testing.T) {
			d := newDistro(t, debian(t))
			before := read(t, d, "/etc/passwd") + read(t, d, "/etc/shadow") + read(t, d, "/etc/group")
			if err := add(d, u); err == nil {
				t.Error("accepted")
			}
			after := read(t, d, "/etc/passwd") + read(t, d, "/etc/shadow") + read(t, d, "/etc/group")
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("files changed:\n%s", diff)
			}
		})
	}
}

func TestUserOfEmptySystem(t *testing.T) {
	needRoot(t)
	d := newDistro(t, map[string]string{"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"})
	if err := add(d, User{Name: "debian", Groups: []string{"sudo"}}); err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, d, "/etc/group"), "sudo:x:1000:\ndebian:x:1001:\n"; !strings.HasPrefix(got, "sudo:x:1000:debian") {
		t.Errorf("group is %q, want like %q", got, want)
	}
	info, err := d.Root.Stat("/etc/shadow")
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("shadow: %v, %v", info, err)
	}
	if _, err := d.Root.Stat("/etc/gshadow"); err == nil {
		t.Error("gshadow was made")
	}
}

func TestPasswordKeepsMode(t *testing.T) {
	needRoot(t)
	d := newDistro(t, debian(t))
	if err := d.Root.Chmod("/etc/shadow", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.ExpirePassword("root"); err != nil {
		t.Fatal(err)
	}
	info, err := d.Root.Stat("/etc/shadow")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("shadow: %v, %v", info.Mode(), err)
	}
	if err := d.SetPassword(true, map[string]string{"nobody-here": "x"}); err == nil {
		t.Error("password of an unknown user set")
	}
}

func TestUpdateHostname(t *testing.T) {
	const previous = "/var/lib/cloud/data/previous-hostname"
	cases := map[string]struct {
		system, previous, name string
		wantSystem, wantLive   string
	}{
		"first boot, other name":  {system: "image\n", name: "c1", wantSystem: "image\n"},
		"first boot, no file":     {name: "c1", wantSystem: "c1\n", wantLive: "c1"},
		"new name":                {system: "c1\n", previous: "c1\n", name: "c2", wantSystem: "c2\n", wantLive: "c2"},
		"same name":               {system: "c1\n", previous: "c1\n", name: "c1", wantSystem: "c1\n"},
		"administrator's name":    {system: "mine\n", previous: "c1\n", name: "c2", wantSystem: "mine\n"},
		"comment in the file":     {system: "# static\nc1\n", previous: "c1\n", name: "c2", wantSystem: "# static\nc2\n", wantLive: "c2"},
		"administrator emptied":   {system: "", previous: "c1\n", name: "c2", wantSystem: "c2\n", wantLive: "c2"},
		"previous file is broken": {system: "c1\n", previous: "\n", name: "c2", wantSystem: "c1\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{}
			if c.system != "" {
				files["/etc/hostname"] = c.system
			}
			if c.previous != "" {
				files[previous] = c.previous
			}
			d := newDistro(t, files)
			live := ""
			d.Kernel = func(name string) error { live = name; return nil }
			if err := d.UpdateHostname(c.name, c.name, previous); err != nil {
				t.Fatal(err)
			}
			if got := read(t, d, "/etc/hostname"); got != c.wantSystem || live != c.wantLive {
				t.Errorf("file %q, kernel %q; want %q, %q", got, live, c.wantSystem, c.wantLive)
			}
		})
	}
}

func TestSetHostnameRefuses(t *testing.T) {
	for _, name := range []string{"", "a b", "a\nb", "a/b", strings.Repeat("x", 65)} {
		d := newDistro(t, map[string]string{"/etc/hostname": "old\n"})
		if err := d.SetHostname(name); err == nil {
			t.Errorf("%q accepted", name)
		}
		if got := read(t, d, "/etc/hostname"); got != "old\n" {
			t.Errorf("%q: file is %q", name, got)
		}
	}
}

func TestHosts(t *testing.T) {
	// What cloud-init 22.4.2 wrote on Debian 12 for manage_etc_hosts: localhost
	// stands without its blank last line.
	old := "127.0.0.1\tlocalhost\n::1\tlocalhost\tip6-localhost\tip6-loopback\n"
	cases := map[string]struct{ old, want string }{
		"added":     {old, old + "127.0.1.1\ta.b.test\ta\n"},
		"there":     {old + "127.0.1.1 a.b.test a # own\n", old + "127.0.1.1 a.b.test a # own\n"},
		"other one": {"127.0.1.1 x\n" + old, old + "127.0.1.1 x\n127.0.1.1\ta.b.test\ta\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := newDistro(t, map[string]string{"/etc/hosts": c.old})
			if err := d.UpdateHosts("a", "a.b.test"); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, read(t, d, "/etc/hosts")); diff != "" {
				t.Error(diff)
			}
		})
	}
	d := newDistro(t, nil)
	if err := d.WriteHosts("my1", "my1.cloudman.cc"); err != nil {
		t.Fatal(err)
	}
	want := []string{"127.0.1.1 my1.cloudman.cc my1", "127.0.0.1 localhost",
		"::1 localhost ip6-localhost ip6-loopback", "ff02::1 ip6-allnodes", "ff02::2 ip6-allrouters"}
	var got []string
	for line := range strings.Lines(read(t, d, "/etc/hosts")) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			got = append(got, line)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTimezone(t *testing.T) {
	const zone = "/usr/share/zoneinfo/Asia/Shanghai"
	d := newDistro(t, map[string]string{zone: "TZif"})
	if err := d.SetTimezone("Asia/Shanghai"); err != nil {
		t.Fatal(err)
	}
	if target, err := d.Root.Readlink("/etc/localtime"); err != nil || target != zone {
		t.Errorf("link to %q, %v", target, err)
	}
	if got := read(t, d, "/etc/timezone"); got != "Asia/Shanghai\n" {
		t.Errorf("timezone %q", got)
	}
	for _, bad := range []string{"Nowhere/Land", "../../../etc/timezone", "Asia", ""} {
		if err := d.SetTimezone(bad); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

func TestAuthorizeKeys(t *testing.T) {
	needRoot(t)
	const k1, k2 = "ssh-ed25519 AAAA1 k1@test", "ssh-ed25519 AAAA2 k2@test"
	cases := map[string]struct {
		old     string
		keys    []string
		options string
		want    string
	}{
		"first":            {"", []string{k1, k2}, "", k1 + "\n" + k2 + "\n"},
		"none":             {"", nil, "", ""},
		"twice":            {"", []string{k1, k1}, "", k1 + "\n"},
		"kept":             {"# mine\n" + k2 + "\n", []string{k1}, "", "# mine\n" + k2 + "\n" + k1 + "\n"},
		"replaced":         {"no-pty ssh-ed25519 AAAA1 old\n", []string{k1}, "", k1 + "\n"},
		"options":          {"", []string{k1}, `command="a b"`, `command="a b" ` + k1 + "\n"},
		"options given":    {"", []string{`command="x y" ` + k1}, "", `command="x y" ` + k1 + "\n"},
		"options replaced": {"", []string{"no-pty " + k1}, "restrict", "restrict " + k1 + "\n"},
		"no key":           {"", []string{"hello", "ssh-foo AAAA", ""}, "", ""},
		"second line":      {"", []string{k1 + "\n" + k2}, "", k1 + "\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"/etc/passwd": "u:x:77:78::/home/u:/bin/sh\n"}
			if c.old != "" {
				files["/home/u/.ssh/authorized_keys"] = c.old
			}
			d := newDistro(t, files)
			if err := d.AuthorizeKeys("u", c.keys, c.options); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, read(t, d, "/home/u/.ssh/authorized_keys")); diff != "" {
				t.Error(diff)
			}
			info, err := d.Root.Stat("/home/u/.ssh/authorized_keys")
			if err != nil {
				t.Fatal(err)
			}
			if uid, gid := owner(info); uid != 77 || gid != 78 {
				t.Errorf("owner %d:%d", uid, gid)
			}
		})
	}
}

func TestAuthorizeKeysThroughLink(t *testing.T) {
	needRoot(t)
	for _, link := range []string{"/home/u/.ssh", "/home/u/.ssh/authorized_keys"} {
		d := newDistro(t, map[string]string{"/etc/passwd": "u:x:77:78::/home/u:/bin/sh\n", "/root/.ssh/authorized_keys": ""})
		if err := d.Root.Symlink("/root/.ssh", link); err != nil {
			t.Fatal(err)
		}
		if err := d.AuthorizeKeys("u", []string{"ssh-ed25519 AAAA1"}, ""); err == nil {
			t.Errorf("%s followed", link)
		}
		if got := read(t, d, "/root/.ssh/authorized_keys"); got != "" {
			t.Errorf("%s: root's file is %q", link, got)
		}
	}
}

func TestAuthorizedKeysFileOption(t *testing.T) {
	needRoot(t)
	d := newDistro(t, map[string]string{
		"/etc/passwd":          "u:x:77:78::/home/u:/bin/sh\n",
		"/etc/ssh/sshd_config": "AuthorizedKeysFile /etc/keys/%u .ssh/keys2\nMatch User x\n",
	})
	if err := d.AuthorizeKeys("u", []string{"ssh-ed25519 AAAA1"}, ""); err != nil {
		t.Fatal(err)
	}
	if got := read(t, d, "/home/u/.ssh/keys2"); got != "ssh-ed25519 AAAA1\n" {
		t.Errorf("keys2 is %q", got)
	}
}

func TestSetSSHD(t *testing.T) {
	const included = "Include /etc/ssh/sshd_config.d/*.conf\n"
	cases := map[string]struct {
		files   map[string]string
		file    string
		want    string
		changed bool
	}{
		"included":       {map[string]string{sshdConfig: included}, sshdOwnConfig, "PasswordAuthentication yes\n", true},
		"included again": {map[string]string{sshdConfig: included, sshdOwnConfig: "passwordauthentication yes\n"}, sshdOwnConfig, "passwordauthentication yes\n", false},
		"old style":      {map[string]string{sshdConfig: "#PasswordAuthentication no\nPasswordAuthentication no\nUsePAM yes\n"}, sshdConfig, "#PasswordAuthentication no\nPasswordAuthentication yes\nUsePAM yes\n", true},
		"no file":        {nil, sshdConfig, "PasswordAuthentication yes\n", true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := newDistro(t, c.files)
			changed, err := d.SetSSHD([2]string{"PasswordAuthentication", "yes"})
			if err != nil || changed != c.changed {
				t.Errorf("changed %v, error %v", changed, err)
			}
			if diff := cmp.Diff(c.want, read(t, d, c.file)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSudoRules(t *testing.T) {
	d := newDistro(t, map[string]string{"/etc/sudoers": "root ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n"})
	for range 2 {
		if err := d.AddSudoRules("debian", []string{"ALL=(ALL) NOPASSWD:ALL"}); err != nil {
			t.Fatal(err)
		}
	}
	want := "# Created by cloud-init v. 22.4.2 on Sat, 21 Nov 2026 04:00:00 +0000\n\n# User rules for debian\ndebian ALL=(ALL) NOPASSWD:ALL\n"
	if diff := cmp.Diff(want, read(t, d, sudoRules)); diff != "" {
		t.Error(diff)
	}
	if info, err := d.Root.Stat(sudoRules); err != nil || info.Mode().Perm() != 0o440 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := d.AddSudoRules("a", []string{"x\nb ALL=(ALL) ALL"}); err == nil {
		t.Error("line break accepted")
	}
	d = newDistro(t, nil)
	if err := d.AddSudoRules("debian", []string{"x"}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, d, "/etc/sudoers"); !strings.Contains(got, "#includedir /etc/sudoers.d\n") {
		t.Errorf("sudoers is %q", got)
	}
}

func TestHostKeys(t *testing.T) {
	needRoot(t)
	d := newDistro(t, map[string]string{"/etc/ssh/ssh_host_dsa_key": "old", "/etc/ssh/ssh_host_rsa_key.pub": "old", "/etc/ssh/moduli": "keep"})
	if err := d.DeleteHostKeys(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Root.Stat("/etc/ssh/ssh_host_dsa_key"); err == nil {
		t.Error("old key is still there")
	}
	read(t, d, "/etc/ssh/moduli")
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		k, err := NewHostKey(kind, "root@host", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.WriteHostKey(k); err != nil {
			t.Fatal(err)
		}
		public, err := PublicHalf([]byte(read(t, d, HostKeyFile(kind))), "root@host")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(read(t, d, HostKeyFile(kind)+".pub"), string(public)); diff != "" {
			t.Errorf("%s: %s", kind, diff)
		}
		if info, err := d.Root.Stat(HostKeyFile(kind)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", kind, info.Mode(), err)
		}
	}
	if _, err := NewHostKey("dsa", "", nil); err == nil {
		t.Error("dsa accepted")
	}
}

func TestExec(t *testing.T) {
	root, err := rootfs.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	run := Exec(root)
	var out bytes.Buffer
	if err := run(context.Background(), Command{Args: []string{"/bin/sh", "-c", "echo $X; env | grep -c ."}, Env: []string{"X=1"}, Output: &out}); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(out.String(), "1\n") {
		t.Errorf("output %q", out.String())
	}
	err = run(context.Background(), Command{Args: []string{"/bin/sh", "-c", "exit 4"}})
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Code != 4 {
		t.Errorf("error %v", err)
	}
	want := "Unexpected error while running command.\nCommand: ['/bin/sh', '-c', 'exit 4']\nExit code: 4\nReason: -\nStdout: -\nStderr: -"
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
	if err := run(context.Background(), Command{Args: []string{"/no/such/program"}}); err == nil {
		t.Error("missing program ran")
	}
}

func TestRelease(t *testing.T) {
	d := newDistro(t, map[string]string{"/usr/lib/os-release": "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n"})
	if diff := cmp.Diff(Release{"debian", "12", "bookworm"}, d.Release()); diff != "" {
		t.Error(diff)
	}
}

func FuzzMergeKeys(f *testing.F) {
	f.Add("# a\nssh-ed25519 AAAA1 k\n", "no-pty ssh-rsa AAAA x", "")
	f.Add("", `command="\"" ssh-ed25519 A`, "restrict")
	f.Fuzz(func(t *testing.T, old, key, options string) {
		if strings.ContainsAny(options, "\n\r") {
			return
		}
		once := mergeKeys(old, []string{key}, options)
		if n := strings.Count(once, "\n") - strings.Count(old, "\n"); n > 2 {
			t.Errorf("%d lines were added by one key", n)
		}
	})
}
