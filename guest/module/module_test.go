package module

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/base/cloudconfig"
	"imprint/base/rootfs"
	"imprint/guest/clouddir"
	"imprint/guest/distro"
)

const debianUser = `
name: debian
lock_passwd: true
gecos: Debian
groups: [adm, sudo]
sudo: ["ALL=(ALL) NOPASSWD:ALL"]
shell: /bin/bash
`

const (
	key1 = "ssh-ed25519 AAAA1 k1@test"
	key2 = "ssh-ed25519 AAAA2 k2@test"
)

// system is a small system in a temporary directory and what happened to it.
type system struct {
	*Env
	t       *testing.T
	root    *rootfs.Root
	log     bytes.Buffer
	out     bytes.Buffer
	console bytes.Buffer
	ran     []string // programs, with INSTANCE_ID
	live    string   // the kernel's host name
}

func newSystem(t *testing.T, config string) *system {
	t.Helper()
	root, err := rootfs.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	s := &system{t: t, root: root}
	for name, text := range map[string]string{
		"/etc/passwd":   "root:x:0:0:root:/root:/bin/bash\ngames:x:5:60:games:/usr/games:/usr/sbin/nologin\n",
		"/etc/group":    "root:x:0:\nadm:x:4:\nsudo:x:27:\nshadow:x:42:\n",
		"/etc/shadow":   "root:*:20000:0:99999:7:::\ngames:*:20000:0:99999:7:::\n",
		"/etc/hostname": "image\n",
	} {
		s.write(name, text)
	}
	now := func() time.Time { return time.Date(2026, 11, 21, 4, 0, 0, 0, time.UTC) }
	log := slog.New(clouddir.NewLog(&s.log, nil))
	s.Env = &Env{
		Config:      parse(t, config),
		DefaultUser: parse(t, debianUser),
		Cloud:       Cloud{InstanceID: "i-1", LocalHostname: "c1.novalocal", Source: "DataSourceOpenStackLocal [net,ver=2]"},
		Dir:         clouddir.New(root, now),
		Distro: distro.New(distro.Distro{
			Root: root, Log: log, Now: now, Version: "22.4.2", Runner: s.run,
			Kernel: func(name string) error { s.live = name; return nil }, Live: func() string { return "localhost" },
		}),
		Output: &s.out, Console: &s.console, Log: log, Version: "22.4.2", Now: now,
		Uptime: func() time.Duration { return 12340 * time.Millisecond },
	}
	if err := s.Dir.Prepare(); err != nil {
		t.Fatal(err)
	}
	if err := s.Dir.Instancify(clouddir.Identity{ID: "i-1"}, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

func parse(t *testing.T, text string) *cloudconfig.Node {
	t.Helper()
	n, err := cloudconfig.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// run plays the programs of these tests: one whose text has "fail" fails.
func (s *system) run(_ context.Context, c distro.Command) error {
	file := c.Args[len(c.Args)-1]
	s.ran = append(s.ran, strings.Join(append(c.Env, c.Args...), " "))
	if text, err := s.root.ReadFile(file); err == nil && bytes.Contains(text, []byte("fail")) {
		return &distro.ExitError{Args: c.Args, Code: 1}
	}
	return nil
}

func (s *system) write(name, text string) {
	s.t.Helper()
	if err := s.root.WriteFile(name, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *system) read(name string) string {
	s.t.Helper()
	data, err := s.root.ReadFile(name)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(data)
}

// entry is the line of an account file that begins with name.
func (s *system) entry(file, name string) string {
	s.t.Helper()
	for line := range strings.Lines(s.read(file)) {
		if strings.HasPrefix(line, name+":") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
}

func TestApplies(t *testing.T) {
	m := Module{Keys: []string{"runcmd", "bootcmd"}}
	if m.Applies(parse(t, "a: 1")) || !m.Applies(parse(t, "bootcmd:")) || !(Module{}).Applies(nil) {
		t.Error("wrong modules apply")
	}
}

func TestHostname(t *testing.T) {
	cases := map[string]struct {
		config, local string
		want          clouddir.Names
		file          string
	}{
		"metadata":            {"", "c1.novalocal", clouddir.Names{FQDN: "c1.novalocal", Hostname: "c1"}, "c1"},
		"short metadata":      {"", "c1", clouddir.Names{FQDN: "c1", Hostname: "c1"}, "c1"},
		"localdomain":         {"", "c1.localdomain", clouddir.Names{FQDN: "c1", Hostname: "c1"}, "c1"},
		"address":             {"", "10.0.0.5", clouddir.Names{FQDN: "ip-10-0-0-5", Hostname: "ip-10-0-0-5"}, "ip-10-0-0-5"},
		"hostname":            {"hostname: short", "meta.example.test", clouddir.Names{FQDN: "meta.example.test", Hostname: "short"}, "short"},
		"qualified hostname":  {"hostname: my1.cloudman.cc", "c3.novalocal", clouddir.Names{FQDN: "my1.cloudman.cc", Hostname: "my1"}, "my1"},
		"fqdn":                {"fqdn: a.b.test", "c1", clouddir.Names{FQDN: "a.b.test", Hostname: "a"}, "a"},
		"both":                {"{fqdn: a.b.test, hostname: short}", "c1", clouddir.Names{FQDN: "a.b.test", Hostname: "short"}, "short"},
		"both, fqdn wins":     {"{fqdn: a.b.test, hostname: short, prefer_fqdn_over_hostname: yes}", "", clouddir.Names{FQDN: "a.b.test", Hostname: "short"}, "a.b.test"},
		"metadata fqdn wins":  {"prefer_fqdn_over_hostname: true", "c1.novalocal", clouddir.Names{FQDN: "c1.novalocal", Hostname: "c1"}, "c1.novalocal"},
		"a number":            {"hostname: 5", "c1", clouddir.Names{FQDN: "c1", Hostname: "5"}, "5"},
		"blanks in metadata":  {"", " c1.novalocal\n", clouddir.Names{FQDN: "c1.novalocal", Hostname: "c1"}, "c1"},
		"leading dot is kept": {"hostname: .x", "c1", clouddir.Names{FQDN: "c1", Hostname: ".x"}, ".x"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t, c.config)
			s.Cloud.LocalHostname = c.local
			for _, run := range []func(context.Context, *Env) error{EarlyHostname, SetHostname, UpdateHostname} {
				if err := run(t.Context(), s.Env); err != nil {
					t.Fatal(err)
				}
			}
			got, _ := s.Dir.SetNames()
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if file := s.read("/etc/hostname"); file != c.file+"\n" || s.live != c.file {
				t.Errorf("file %q, kernel %q, want %q", file, s.live, c.file)
			}
			if got := s.read(clouddir.PreviousHostname); got != c.file+"\n" {
				t.Errorf("previous-hostname is %q", got)
			}
		})
	}
}

func TestHostnameLeftAlone(t *testing.T) {
	for name, config := range map[string]string{"preserved": "{preserve_hostname: true, hostname: x}", "nobody named it": ""} {
		s := newSystem(t, config)
		if name == "nobody named it" {
			s.Cloud.LocalHostname = ""
		}
		if err := EarlyHostname(t.Context(), s.Env); err != nil {
			t.Fatal(err)
		}
		if s.live != "" || s.read("/etc/hostname") != "image\n" {
			t.Errorf("%s: kernel %q, file %q", name, s.live, s.read("/etc/hostname"))
		}
	}
}

func TestHostnameSetOnce(t *testing.T) {
	s := newSystem(t, "hostname: c1")
	if err := SetHostname(t.Context(), s.Env); err != nil {
		t.Fatal(err)
	}
	s.live = ""
	s.write("/etc/hostname", "mine\n")
	if err := SetHostname(t.Context(), s.Env); err != nil {
		t.Fatal(err)
	}
	if s.live != "" || s.read("/etc/hostname") != "mine\n" {
		t.Error("the same name was set again")
	}
}

func TestUpdateEtcHosts(t *testing.T) {
	cases := map[string]struct {
		value string
		want  string
		fails bool
	}{
		"absent": {"", "old", false}, "false": {"manage_etc_hosts: off", "old", false},
		"true":      {"manage_etc_hosts: true", "127.0.1.1 c1.novalocal c1\n127.0.0.1 localhost\n", false},
		"yes":       {"manage_etc_hosts: 'Yes'", "127.0.1.1 c1.novalocal c1\n", false},
		"template":  {"manage_etc_hosts: template", "127.0.1.1 c1.novalocal c1\n", false},
		"localhost": {"manage_etc_hosts: localhost", "old\n127.0.1.1\tc1.novalocal\tc1\n", false},
		"unknown":   {"manage_etc_hosts: maybe", "old", true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t, c.value)
			s.write("/etc/hosts", "old")
			if err := UpdateEtcHosts(t.Context(), s.Env); (err != nil) != c.fails {
				t.Error(err)
			}
			if got := s.read("/etc/hosts"); !strings.Contains(got, c.want) {
				t.Errorf("hosts is %q, want %q in it", got, c.want)
			}
		})
	}
}

func TestShellify(t *testing.T) {
	// Result of cloud-init 22.4.2 for the same list (golden case runcmd).
	s := newSystem(t, `
runcmd:
  - echo "str $0" >> /var/tmp/log
  - [sh, -c, 'echo "list $1" >> /var/tmp/log', x, "it's"]
  - "false"
  -
  - [mkdir, /yunshan]
  - [sleep, 5, true]
`)
	if err := Runcmd(t.Context(), s.Env); err != nil {
		t.Fatal(err)
	}
	want := "#!/bin/sh\necho \"str $0\" >> /var/tmp/log\n'sh' '-c' 'echo \"list $1\" >> /var/tmp/log' 'x' 'it'\\''s'\nfalse\n'mkdir' '/yunshan'\n'sleep' '5' 'True'\n"
	if diff := cmp.Diff(want, s.read("/var/lib/cloud/instances/i-1/scripts/runcmd")); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"runcmd: echo", "runcmd: [{a: b}]", "runcmd: [echo, false]", "runcmd: 5"} {
		s := newSystem(t, bad)
		if err := Runcmd(t.Context(), s.Env); err == nil {
			t.Errorf("%s: accepted", bad)
		}
	}
}

func TestBootcmd(t *testing.T) {
	s := newSystem(t, "bootcmd: [echo hi]")
	if err := Bootcmd(t.Context(), s.Env); err != nil {
		t.Fatal(err)
	}
	if ok, _ := path.Match("INSTANCE_ID=i-1 /bin/sh /run/cloud-init/tmp/tmp????????.sh", s.ran[0]); !ok || len(s.ran) != 1 {
		t.Errorf("ran %q", s.ran)
	}
	if left, err := s.root.ReadDir(scratchDir); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
	s = newSystem(t, "bootcmd: [fail]")
	var exit *distro.ExitError
	if err := Bootcmd(t.Context(), s.Env); !errors.As(err, &exit) {
		t.Errorf("error %v", err)
	}
}

func TestScripts(t *testing.T) {
	s := newSystem(t, "")
	for name, text := range map[string]string{"b": "ok", "a": "fail", "c": "ok", "sub/x": "ok"} {
		if err := s.Dir.WriteScript("scripts/"+name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	s.write(clouddir.InstanceLink+"/scripts/plain", "not executable")
	err := ScriptsUser(t.Context(), s.Env)
	if err == nil || err.Error() != "Runparts: 1 failures (a) in 3 attempted commands" {
		t.Errorf("error %v", err)
	}
	dir := clouddir.InstanceLink + "/scripts/"
	if diff := cmp.Diff([]string{dir + "a", dir + "b", dir + "c"}, s.ran); diff != "" {
		t.Error(diff)
	}
	if err := ScriptsVendor(t.Context(), s.Env); err != nil {
		t.Errorf("without a directory: %v", err)
	}
}

func TestFinalMessage(t *testing.T) {
	cases := map[string]string{
		"": "Cloud-init v. 22.4.2 finished at Sat, 21 Nov 2026 04:00:00 +0000. Datasource DataSourceOpenStackLocal [net,ver=2].  Up 12.34 seconds\n",
		"final_message: \"done in $UPTIME seconds, ${datasource} $nosuch\"":              "done in 12.34 seconds, DataSourceOpenStackLocal [net,ver=2] $nosuch\n",
		"final_message: \"## template: jinja\\nv {{ version }} at {{TIMESTAMP}} $5\\n\"": "v 22.4.2 at Sat, 21 Nov 2026 04:00:00 +0000 $5\n",
	}
	for config, want := range cases {
		s := newSystem(t, config)
		if err := FinalMessage(t.Context(), s.Env); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, s.out.String()); diff != "" {
			t.Error(diff)
		}
		if got := s.read("/var/lib/cloud/instance/boot-finished"); got != "12.34 - Sat, 21 Nov 2026 04:00:00 +0000 - v. 22.4.2\n" {
			t.Errorf("boot-finished is %q", got)
		}
	}
}

func TestAccounts(t *testing.T) {
	cases := map[string]struct {
		config string
		want   []string // name, default marked by *
	}{
		"default":           {"users: [default]", []string{"debian*"}},
		"default goes last": {"users: [default, {name: u1}, u2]", []string{"u1", "u2", "debian*"}},
		"none":              {"users: []", nil},
		"no default":        {"users: [{name: only}]", []string{"only"}},
		"text":              {"users: 'u1, default'", []string{"u1", "debian*"}},
		"map":               {"users: {u1: true, u2: {gecos: x}, u3: false, default: 'on'}", []string{"u1", "u2", "debian*"}},
		"user":              {"{users: [default], user: {name: ops}}", []string{"ops*"}},
		"user as text":      {"{users: [u1], user: ops}", []string{"u1", "ops*"}},
		"nameless":          {"users: [{gecos: x}]", []string{"debian*"}},
		"default by name":   {"users: [default, {name: debian, gecos: Mine}]", []string{"debian*"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t, c.config)
			users, err := s.accounts()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, u := range users {
				mark := ""
				if u.isDefault {
					mark = "*"
				}
				got = append(got, u.name+mark)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAccountOfDefaultUser(t *testing.T) {
	s := newSystem(t, "users: [{name: default, gecos: Under default}, {name: debian, groups: [video, sudo], no-log-init: true}]")
	users, err := s.accounts()
	if err != nil || len(users) != 1 {
		t.Fatal(users, err)
	}
	c := users[0].config
	if got := c.Get("groups").String(); got != "adm,sudo,video" {
		t.Errorf("groups %q", got)
	}
	// The distribution's settings win over those under the name default.
	if got := c.Get("gecos").String(); got != "Debian" || !c.Has("no_log_init") {
		t.Errorf("config %s", c)
	}
}

func TestUsersGroups(t *testing.T) {
	needRoot(t)
	s := newSystem(t, `
groups: [builders, {testers: [root, nobody-here]}]
users:
  - default
  - {name: alice, gecos: "Alice: Example"}
  - name: bob
    uid: 2001
    plain_text_passwd: secret
    lock_passwd: false
    sudo: ALL=(ALL) ALL
    ssh_authorized_keys: [`+key1+`]
  - {name: frank, ssh_redirect_user: true}
`)
	s.Cloud.PublicKeys = []string{key2}
	err := UsersGroups(t.Context(), s.Env)
	if err == nil || !strings.Contains(err.Error(), "alice") {
		t.Errorf("error %v", err)
	}
	want := map[string]string{
		"root": "root:x:0:0:root:/root:/bin/bash", "alice": "", "bob": "bob:x:2001:2001::/home/bob:/bin/sh",
		"frank": "frank:x:2002:2002::/home/frank:/bin/sh", "debian": "debian:x:2003:2003:Debian:/home/debian:/bin/bash",
	}
	for name, line := range want {
		if got := s.entry("/etc/passwd", name); got != line {
			t.Errorf("%s: %q, want %q", name, got, line)
		}
	}
	if got := s.entry("/etc/group", "testers"); got != "testers:x:1001:root" {
		t.Errorf("testers: %q", got)
	}
	if got := s.entry("/etc/group", "sudo"); got != "sudo:x:27:debian" {
		t.Errorf("sudo: %q", got)
	}
	if got := s.entry("/etc/shadow", "bob"); !strings.HasPrefix(got, "bob:$y$j9T$") {
		t.Errorf("bob's password: %q", got)
	}
	if got := s.entry("/etc/shadow", "debian"); !strings.HasPrefix(got, "debian:!:") {
		t.Errorf("debian's password: %q", got)
	}
	if got := s.read("/home/bob/.ssh/authorized_keys"); got != key1+"\n" {
		t.Errorf("bob's keys: %q", got)
	}
	wantKey := `no-port-forwarding,no-agent-forwarding,no-X11-forwarding,command="echo 'Please login as the user \"debian\" rather than the user \"frank\".';echo;sleep 10;exit 142" ` + key2 + "\n"
	if diff := cmp.Diff(wantKey, s.read("/home/frank/.ssh/authorized_keys")); diff != "" {
		t.Error(diff)
	}
	rules := s.read("/etc/sudoers.d/90-cloud-init-users")
	if !strings.Contains(rules, "\nbob ALL=(ALL) ALL\n") || !strings.HasSuffix(rules, "\ndebian ALL=(ALL) NOPASSWD:ALL\n") {
		t.Errorf("sudo rules: %q", rules)
	}
	if log := s.log.String(); strings.Contains(log, "secret") {
		t.Error("the password is in the log")
	}
}

func TestUserConflicts(t *testing.T) {
	needRoot(t)
	for _, u := range []string{
		"{name: a, system: true, ssh_authorized_keys: [x]}",
		"{name: a, no_create_home: true, ssh_redirect_user: true}",
		"{name: a, ssh_redirect_user: true, ssh_authorized_keys: [x]}",
		"{name: a, sudo: true}", "{name: a, shell: [x]}", "{name: a, lock_passwd: perhaps}",
	} {
		s := newSystem(t, "users: ["+u+", default]")
		if err := UsersGroups(t.Context(), s.Env); err == nil {
			t.Errorf("%s: accepted", u)
		}
		if s.entry("/etc/passwd", "debian") == "" {
			t.Errorf("%s: keeps the default user from being made", u)
		}
	}
}

func TestSetPasswords(t *testing.T) {
	needRoot(t)
	const hash = "$6$oracle$MjTcZ0JBrkHnCY9Z9sBzMgLYJ2GpB8x8XyJgEwqN1oQ4F7P9yY5b1Zy6yb7l3uZk2J6gqfH2r8uC4m3G6b0eB1"
	cases := map[string]struct {
		config       string
		games        string // start of the hash
		expired      bool
		fails        bool
		shown, debug string
	}{
		"list as text":      {config: "chpasswd: {list: \"games:plain\\n\"}", games: "$y$j9T$", expired: true},
		"list":              {config: "chpasswd: {expire: false, list: ['games:p:q']}", games: "$y$j9T$"},
		"hash in list":      {config: "chpasswd: {list: ['games:" + hash + "']}", games: hash, expired: true},
		"yescrypt in list":  {config: "chpasswd: {list: ['games:$y$j9T$abc$def']}", games: "$y$j9T$abc$def", expired: true},
		"users, hash":       {config: "chpasswd: {expire: no, users: [{name: games, password: " + hash + "}]}", games: hash},
		"users, text":       {config: "chpasswd: {users: [{name: games, password: x, type: text}]}", games: "$y$j9T$", expired: true},
		"users, random":     {config: "chpasswd: {users: [{name: games, type: RANDOM}]}", games: "$y$j9T$", expired: true, shown: "games:"},
		"list, random":      {config: "chpasswd: {list: [games:R]}", games: "$y$j9T$", expired: true, shown: "games:"},
		"unknown user":      {config: "chpasswd: {list: [nobody:x, games:y]}", games: "$y$j9T$", expired: true, fails: true},
		"bad type":          {config: "chpasswd: {users: [{name: games, password: x, type: rot13}]}", games: "*", fails: true},
		"no colon":          {config: "chpasswd: {list: [games]}", games: "*", fails: true},
		"line in hash":      {config: "chpasswd: {users: [{name: games, password: \"x\\nroot::0\"}]}", games: "*", fails: true},
		"password":          {config: "{password: x, users: [default], user: games}", games: "$y$j9T$", expired: true},
		"password, no user": {config: "{password: x, users: []}", games: "*"},
		"nothing":           {config: "{}", games: "*"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t, c.config)
			if err := SetPasswords(t.Context(), s.Env); (err != nil) != c.fails {
				t.Errorf("error %v", err)
			}
			f := strings.Split(s.entry("/etc/shadow", "games"), ":")
			if !strings.HasPrefix(f[1], c.games) || (f[2] == "0") != c.expired {
				t.Errorf("shadow: %v", f)
			}
			if got := s.console.String(); (got == "") != (c.shown == "") || !strings.Contains(got, c.shown) {
				t.Errorf("console: %q", got)
			}
			if strings.Contains(s.log.String(), "plain") || strings.Contains(s.log.String(), hash) {
				t.Error("a password is in the log")
			}
		})
	}
}

func TestPasswordLogin(t *testing.T) {
	const own = "/etc/ssh/sshd_config.d/50-cloud-init.conf"
	for value, want := range map[string]string{
		"true": "PasswordAuthentication yes\n", "'no'": "PasswordAuthentication no\n", "0": "PasswordAuthentication no\n",
		"unchanged": "", "maybe": "", "": "",
	} {
		s := newSystem(t, "ssh_pwauth: "+value)
		s.write("/etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/*.conf\n")
		s.write("/run/systemd/system/x", "")
		if err := SetPasswords(t.Context(), s.Env); err != nil {
			t.Fatal(err)
		}
		if want == "" {
			if _, err := s.root.Stat(own); err == nil {
				t.Errorf("%s: written", value)
			}
			continue
		}
		if got := s.read(own); got != want {
			t.Errorf("%s: %q", value, got)
		}
		if diff := cmp.Diff([]string{"systemctl status ssh", "systemctl restart ssh"}, s.ran); diff != "" {
			t.Error(diff)
		}
	}
}

func TestSSH(t *testing.T) {
	needRoot(t)
	const hint = `no-port-forwarding,no-agent-forwarding,no-X11-forwarding,command="echo 'Please login as the user \"games\" rather than the user \"root\".';echo;sleep 10;exit 142" `
	cases := map[string]struct {
		config     string
		user, root string
	}{
		"keys":           {"{user: games, ssh_authorized_keys: [" + key2 + "]}", key1 + "\n" + key2 + "\n", hint + key1 + "\n" + hint + key2 + "\n"},
		"root let in":    {"{user: games, disable_root: false}", key1 + "\n", key1 + "\n"},
		"own options":    {"{user: games, disable_root_opts: no-pty}", key1 + "\n", "no-pty " + key1 + "\n"},
		"metadata's not": {"{user: games, allow_public_ssh_keys: false}", "", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t, c.config)
			s.Config = s.Config.With("ssh_genkeytypes", cloudconfig.NewList(cloudconfig.NewString("ed25519")))
			s.write("/etc/ssh/ssh_host_rsa_key", "of the image")
			s.Cloud.PublicKeys = []string{key1}
			if err := SSH(t.Context(), s.Env); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.user, s.read("/usr/games/.ssh/authorized_keys")); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.root, s.read("/root/.ssh/authorized_keys")); diff != "" {
				t.Error(diff)
			}
			entries, err := s.root.ReadDir("/etc/ssh")
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, e := range entries {
				names = append(names, e.Name())
			}
			if diff := cmp.Diff([]string{"ssh_host_ed25519_key", "ssh_host_ed25519_key.pub"}, names); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSSHGivenKeys(t *testing.T) {
	needRoot(t)
	k, err := distro.NewHostKey("ed25519", "x", nil)
	if err != nil {
		t.Fatal(err)
	}
	s := newSystem(t, "")
	keys := cloudconfig.NewMap().With("ed25519_private", cloudconfig.NewString(string(k.Private))).
		With("rsa_private", cloudconfig.NewString("any text")).With("rsa_public", cloudconfig.NewString("any text")).
		With("foo_private", cloudconfig.NewString("x"))
	s.Config = cloudconfig.NewMap().With("ssh_keys", keys)
	if err := SSH(t.Context(), s.Env); err != nil {
		t.Fatal(err)
	}
	want := strings.TrimSuffix(string(k.Public), "x\n") + "root@localhost\n"
	if got := s.read("/etc/ssh/ssh_host_ed25519_key.pub"); got != want {
		t.Errorf("public half %q, want %q", got, want)
	}
	if got := s.read("/etc/ssh/ssh_host_rsa_key"); got != "any text" {
		t.Errorf("rsa key %q", got)
	}
}

func TestWriteFiles(t *testing.T) {
	needRoot(t)
	// The entries and results of cloud-init 22.4.2's golden case write-files.
	s := newSystem(t, `
write_files:
  - {path: /etc/o/plain, content: "a\nb"}
  - {path: /etc/o/b64, encoding: b64, content: aGVsbG8K}
  - {path: /etc/o/gz, encoding: gz+b64, content: H4sIAAAAAAACA0uvUkjOzytJzSvhAgAjovOJCwAAAA==}
  - {path: /etc/o/text, encoding: text/plain, content: t, permissions: 0755}
  - {path: /etc/o/string, content: t, permissions: '0600'}
  - {path: /etc/o/octint, content: x, permissions: 0o640}
  - {path: /etc/o/badperm, content: x, permissions: rwx}
  - {path: /etc/o/owner, content: x, owner: "games:adm"}
  - {path: /etc/o/nobody, content: x, owner: "nobody-here"}
  - {path: /etc/issue, content: "appended\n", append: true, permissions: '0640'}
  - {path: /etc/o/deep/er/file, content: ""}
  - {path: /etc/o/unknown, encoding: rot13, content: uryyb}
  - {path: /etc/o/broken, encoding: b64, content: "A"}
  - {path: /etc/o/late, content: late, defer: true}
  - {content: nopath}
  - nomap
  - {path: ../../etc/o/dots, content: 5}
  - {path: /etc/o/setgid, permissions: '2755'}
`)
	s.write("/etc/issue", "Debian\n")
	err := WriteFiles(t.Context(), s.Env)
	for _, part := range []string{"entry 9:", "entry 13:", "entry 16 "} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error lacks %q: %v", part, err)
		}
	}
	want := map[string]string{
		"/etc/o/plain": "a\nb 0644", "/etc/o/b64": "hello\n 0644", "/etc/o/text": "t 0755", "/etc/o/string": "t 0600",
		"/etc/o/octint": "x 0640", "/etc/o/badperm": "x 0644", "/etc/o/owner": "x 0644", "/etc/issue": "Debian\nappended\n 0640",
		"/etc/o/deep/er/file": " 0644", "/etc/o/unknown": "uryyb 0644", "/etc/o/dots": "5 0644", "/etc/o/setgid": " 2755",
		"/etc/o/gz": "gz content\n 0644",
	}
	for name, text := range want {
		info, err := s.root.Stat(name)
		if err != nil {
			t.Error(err)
			continue
		}
		got := s.read(name) + " " + unixPerm(info.Mode())
		if got != text {
			t.Errorf("%s is %q, want %q", name, got, text)
		}
	}
	for _, name := range []string{"/etc/o/late", "/etc/o/broken", "/etc/o/nobody"} {
		if _, err := s.root.Stat(name); err == nil {
			t.Errorf("%s was written", name)
		}
	}
	if err := WriteFilesDeferred(t.Context(), s.Env); err == nil || !strings.Contains(err.Error(), "nomap") && !strings.Contains(err.Error(), "entry") {
		t.Logf("deferred: %v", err)
	}
	if got := s.read("/etc/o/late"); got != "late" {
		t.Errorf("late is %q", got)
	}
	log := s.log.String()
	for _, line := range []string{"Undecodable permissions 'rwx', returning default 644",
		"Unknown encoding type rot13, assuming text/plain", "No path provided to write for entry 15 in module write-files"} {
		if !strings.Contains(log, line) {
			t.Errorf("log lacks %q", line)
		}
	}
}

// unixPerm is a mode as four octal digits.
func unixPerm(m os.FileMode) string {
	bits := []byte{'0', '0', '0', '0'}
	p := m.Perm()
	for i := range 3 {
		bits[1+i] = '0' + byte(p>>(6-3*i)&7)
	}
	if m&os.ModeSetgid != 0 {
		bits[0] = '2'
	}
	return string(bits)
}

// No module may panic or hang on a configuration of the wrong shape.
func TestWrongShapes(t *testing.T) {
	needRoot(t)
	keys := []string{"hostname", "fqdn", "preserve_hostname", "prefer_fqdn_over_hostname", "manage_etc_hosts", "users", "user", "groups",
		"ssh_keys", "ssh_authorized_keys", "ssh_genkeytypes", "disable_root", "disable_root_opts", "chpasswd", "password", "ssh_pwauth",
		"timezone", "write_files", "runcmd", "bootcmd", "final_message", "ssh_deletekeys"}
	values := []string{"~", "5", "1.5", "true", "x", "[]", "{}", "[[x]]", "[{a: b}]", "{a: {b: c}}", "{list: {a: b}, users: x}", "[~, 5, [~]]", "2001-01-01"}
	all := []func(context.Context, *Env) error{Bootcmd, WriteFiles, WriteFilesDeferred, SetHostname, UpdateHostname,
		UpdateEtcHosts, UsersGroups, SSH, SetPasswords, Timezone, Runcmd, ScriptsUser, FinalMessage}
	s := newSystem(t, "")
	for _, key := range keys {
		for _, value := range values {
			s.Config = parse(t, key+": "+value)
			if key != "ssh_genkeytypes" {
				s.Config = s.Config.With("ssh_genkeytypes", cloudconfig.NewList())
			}
			for _, run := range all {
				if err := run(t.Context(), s.Env); err != nil && strings.TrimSpace(err.Error()) == "" {
					t.Errorf("%s: %s: the error says nothing", key, value)
				}
			}
		}
	}
}
