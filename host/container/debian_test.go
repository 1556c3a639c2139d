package container

import (
	"crypto/ed25519"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// debianTree is the root file system of a Debian with the real cloud-init.
func debianTree(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("../../test/debian-tree")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == 2 {
		t.Skip(said.String())
	}
	if err != nil {
		t.Fatalf("debian-tree: %v\n%s", err, said.String())
	}
	return strings.TrimSpace(string(out))
}

// seed puts a NoCloud seed on the instance's disk.
func (l *lab) seed(userData string) {
	l.Helper()
	dir := l.dir()
	for _, d := range []string{"", "disk", "upper", "var", "lib", "cloud", "seed", "nocloud"} {
		dir = filepath.Join(dir, d)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			l.Fatal(err)
		}
	}
	uids, err := l.driver.uids(l.dir(), l.inst.ID)
	if err != nil {
		l.Fatal(err)
	}
	for d := dir; filepath.Base(d) != "disk"; d = filepath.Dir(d) {
		if err := os.Chown(d, int(uids), int(uids)); err != nil {
			l.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"meta-data":      "instance-id: " + string(l.inst.ID) + "\nlocal-hostname: seeded\n",
		"user-data":      userData,
		"network-config": "version: 1\nconfig: []\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			l.Fatal(err)
		}
	}
}

// newKey returns a private key's file and the public line.
func newKey(t *testing.T) (file, line string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

// ssh runs a command as the user debian of the instance.
func (l *lab) ssh(key, command string) string {
	l.Helper()
	pid, err := l.driver.PID(l.inst.ID)
	if err != nil {
		l.Fatal(err)
	}
	out, err := exec.CommandContext(l.ctx, "nsenter", "-t", strconv.Itoa(pid), "-n", "ssh", "-i", key,
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
		"-o", "BatchMode=yes", "debian@127.0.0.1", command).CombinedOutput()
	if err != nil {
		l.Errorf("ssh %s: %v: %s", command, err, out)
	}
	return strings.TrimSpace(string(out))
}

// The machine's sshd lets in a user of an instance of the machine's /usr; it
// reads its configuration again when a later boot command changed it.
func TestHostTreeLogin(t *testing.T) {
	if _, err := os.Stat(sshd); err != nil {
		t.Skip("needs openssh-server")
	}
	l := newLab(t, HostTree)
	key, line := newKey(t)
	l.driver.config.Guest = script(t, `
case "$*" in
init)
	ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key
	useradd -m -s /bin/bash debian
	mkdir -m 700 /home/debian/.ssh
	echo "`+line+`" >/home/debian/.ssh/authorized_keys
	chown -R debian: /home/debian/.ssh;;
"modules --mode=config") echo "PrintLastLog no" >/etc/ssh/sshd_config.d/50-test.conf;;
esac`)
	l.boot()
	if got := l.ssh(key, "id -un; hostname; cat /proc/1/cmdline | tr '\\0' ' '"); got != "debian\nlocalhost\ninit container-init" {
		t.Errorf("login: %q", got)
	}
	if !strings.Contains(l.console(), "init: ssh server reads its configuration again\n") {
		t.Errorf("console:\n%s", l.console())
	}
}

// The real cloud-init, sshd with login, sudo and passwd work in an instance.
func TestDebian(t *testing.T) {
	l := newLab(t, debianTree(t))
	l.inst.RAM = 512
	key, line := newKey(t)
	l.seed("#cloud-config\nmanage_etc_hosts: true\nssh_authorized_keys: ['" + line + "']\nssh_pwauth: true\n" +
		"chpasswd: {expire: false, list: ['debian:secret']}\ntimezone: Asia/Shanghai\n" +
		"write_files: [{path: /etc/mark, content: written}]\nruncmd: [[mkdir, /ran], 'echo run >/dev/console']\n")
	st := l.boot()
	for _, c := range st.Commands {
		if c.Exit != 0 {
			t.Errorf("%s: status %d", c.Name, c.Exit)
		}
	}
	for command, want := range map[string]string{
		"hostname":                            "seeded",
		"cat /etc/mark":                       "written",
		"readlink /etc/localtime":             "/usr/share/zoneinfo/Asia/Shanghai",
		"test -d /ran && echo ran":            "ran",
		"sudo id -u":                          "0",
		"sudo passwd -S debian|cut -d' ' -f2": "P",
		"sudo sshd -T | grep ^passwordauth":   "passwordauthentication yes",
		"cloud-init status":                   "status: done",
	} {
		if got := l.ssh(key, command); got != want {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
	l.stop(20 * time.Second)
	if st, _ := l.driver.State(l.inst.ID); st.Exit != "0" {
		t.Errorf("state %+v", st)
	}
}
