package container

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"imprint/host/cloud"
)

// The filter as a program, in Go's own machine: this covers both architectures'
// lists and what no probe may try.
func TestFilter(t *testing.T) {
	vm, err := bpf.NewVM(filter())
	if err != nil {
		t.Fatal(err)
	}
	run := func(arch, call, arg uint32) uint32 {
		// The machine reads network order; the kernel's is the processor's.
		data := make([]byte, 64)
		binary.BigEndian.PutUint32(data[offCall:], call)
		binary.BigEndian.PutUint32(data[offArch:], arch)
		binary.BigEndian.PutUint32(data[offArg0:], arg)
		verdict, err := vm.Run(data)
		if err != nil {
			t.Fatal(err)
		}
		return uint32(verdict)
	}
	for _, tt := range []struct {
		name            string
		arch, call, arg uint32
		want            uint32
	}{
		{"read", auditArch, unix.SYS_READ, 0, allow},
		{"execve", auditArch, unix.SYS_EXECVE, 0, allow},
		{"fork", auditArch, unix.SYS_CLONE, uint32(unix.SIGCHLD), allow},
		{"thread", auditArch, unix.SYS_CLONE, unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD, allow},
		{"clone in namespace", auditArch, unix.SYS_CLONE, unix.CLONE_NEWCGROUP, eperm},
		{"clone3", auditArch, unix.SYS_CLONE3, 0, enosys},
		{"unshare files", auditArch, unix.SYS_UNSHARE, unix.CLONE_FILES, allow},
		{"unshare mounts", auditArch, unix.SYS_UNSHARE, unix.CLONE_NEWNS, eperm},
		{"tcp", auditArch, unix.SYS_SOCKET, unix.AF_INET, allow},
		{"packet", auditArch, unix.SYS_SOCKET, unix.AF_PACKET, allow},
		{"bluetooth", auditArch, unix.SYS_SOCKET, unix.AF_BLUETOOTH, enofam},
		{"mount", auditArch, unix.SYS_MOUNT, 0, eperm},
		{"newest", auditArch, newestCall, 0, allow},
		{"newer", auditArch, newestCall + 1, 0, enosys},
		{"x32", auditArch, 0x40000000 | unix.SYS_READ, 0, enosys},
		{"32-bit program", unix.AUDIT_ARCH_I386, unix.SYS_READ, 0, unix.SECCOMP_RET_KILL_PROCESS},
	} {
		if got := run(tt.arch, tt.call, tt.arg); got != tt.want {
			t.Errorf("%s: %#x, want %#x", tt.name, got, tt.want)
		}
	}
}

func TestCgroupMounts(t *testing.T) {
	const text = `22 1 0:21 / /proc rw shared:5 - proc proc rw
30 25 0:26 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory
31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:1 master:2 - cgroup cgroup rw,cpu,cpuacct
32 25 0:28 / /nowhere/unified rw,nosuid - cgroup2 cgroup2 rw
odd line
`
	want := []cgroupMount{
		{dir: "/sys/fs/cgroup/memory", controllers: []string{"rw", "memory"}},
		{dir: "/sys/fs/cgroup/cpu,cpuacct", controllers: []string{"rw", "cpu", "cpuacct"}},
		{dir: "/nowhere/unified", unified: true, controllers: []string{}},
	}
	if d := cmp.Diff(want, cgroupMounts(text), cmp.AllowUnexported(cgroupMount{})); d != "" {
		t.Error(d)
	}
}

func TestChooseRange(t *testing.T) {
	const first = firstRange * idCount
	for _, tt := range []struct {
		name  string
		hash  uint32
		taken []interval
		want  uint32
	}{
		{"free", 0, nil, first},
		{"by hash", 7, nil, first + 7*idCount},
		{"hash beyond", rangeCount + 1, nil, first + idCount},
		{"taken", 0, []interval{{first, idCount}}, first + idCount},
		{"half taken", 1, []interval{{first + idCount + 100, 1}}, first + 2*idCount},
		{"around", rangeCount - 1, []interval{{first + (rangeCount-1)*idCount, idCount}}, first},
	} {
		got, err := chooseRange(tt.hash, tt.taken)
		if err != nil || got != tt.want {
			t.Errorf("%s: %d, %v; want %d", tt.name, got, err, tt.want)
		}
	}
	if _, err := chooseRange(0, []interval{{0, 1 << 32}}); err == nil {
		t.Error("a range where all are taken")
	}
}

func TestParseSubIDs(t *testing.T) {
	got := parseSubIDs("debian:100000:65536\n\nbroken:1\nalice:x:1\nbob:4294967295:1\n")
	want := []interval{{100000, 65536}, {4294967295, 1}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(interval{})); d != "" {
		t.Error(d)
	}
}

// Every instance of a driver has users of its own, and keeps them.
func TestUIDs(t *testing.T) {
	d := New(Config{Dir: t.TempDir()})
	seen := map[uint32]bool{}
	for range 50 {
		id := cloud.ServerID(cloud.NewUUID())
		dir := filepath.Join(d.config.Dir, string(id))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		uid, err := d.uids(dir, id)
		if err != nil || seen[uid] {
			t.Fatalf("user %d again, or %v", uid, err)
		}
		if again, err := d.uids(dir, id); err != nil || again != uid {
			t.Fatalf("user %d and then %d, %v", uid, again, err)
		}
		seen[uid] = true
	}
}

func TestProcess(t *testing.T) {
	c := exec.Command("sleep", "100")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := identify(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Alive() {
		t.Error("a running process is not alive")
	}
	for name, other := range map[string]Process{
		"another start": {p.PID, p.Start + 1, p.Boot},
		"another boot":  {p.PID, p.Start, "x"},
		"none":          {},
	} {
		if other.Alive() {
			t.Errorf("%s is alive", name)
		}
		if err := other.kill(); err != nil {
			t.Errorf("kill %s: %v", name, err)
		}
	}
	if !p.Alive() {
		t.Error("the process was killed in place of another")
	}
	if err := p.kill(); err != nil {
		t.Error(err)
	}
	if p.Alive() {
		t.Error("a zombie is alive")
	}
	c.Wait()
	if err := p.kill(); err != nil {
		t.Error(err)
	}
}

func TestLastLines(t *testing.T) {
	const text = "one\ntwo\nthree\n"
	for n, want := range map[int]string{-1: text, 0: "", 1: "three\n", 2: "two\nthree\n", 3: text, 9: text} {
		if got := lastLines(text, n); got != want {
			t.Errorf("%d lines: %q, want %q", n, got, want)
		}
	}
	if got := lastLines("one\ntwo", 1); got != "two" {
		t.Errorf("an unfinished line: %q", got)
	}
}

func TestConsoleKeepsTheEnd(t *testing.T) {
	master, slave, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "console.log")
	c, err := newConsole(master, name)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("x", 99) + "\n"
	for range maxConsole * 5 / 4 / len(line) {
		slave.WriteString(line)
	}
	slave.WriteString("the end\n")
	slave.Close()
	<-c.done
	c.drain()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > maxConsole || len(text) < keepConsole/2 {
		t.Errorf("%d bytes are kept", len(text))
	}
	if !strings.HasPrefix(string(text), line) || !strings.HasSuffix(string(text), line+"the end\n") {
		t.Errorf("kept %q … %q", text[:120], text[len(text)-120:])
	}
}

func TestAtLeast(t *testing.T) {
	for release, want := range map[string]bool{
		"6.1.0-18-amd64": true, "5.19.0": true, "5.18.19": false, "4.19.0-26-amd64": false, "10.0": true, "odd": false,
	} {
		if atLeast(release, 5, 19) != want {
			t.Errorf("%s: not %v", release, want)
		}
	}
}

// A tree may hold any link where something is to be mounted; none is followed.
func TestTreeFollowsNoLinks(t *testing.T) {
	dir := t.TempDir()
	for _, step := range []error{
		os.Mkdir(filepath.Join(dir, "outside"), 0o755),
		os.MkdirAll(filepath.Join(dir, "root/real"), 0o755),
		os.Symlink("../outside", filepath.Join(dir, "root/dev")),
		os.Symlink("/etc", filepath.Join(dir, "root/proc")),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	root, err := openTree(filepath.Join(dir, "root"))
	if err != nil {
		t.Fatal(err)
	}
	defer root.close()
	for _, name := range []string{"dev", "proc", "dev/pts", "real/../dev"} {
		if f, err := root.open(name); err == nil {
			t.Errorf("%s opened", name)
			f.Close()
		}
		if err := root.mkdirs(name, 0o755, os.Getuid()); err == nil {
			t.Errorf("%s made", name)
		}
	}
	if f, err := root.open("../outside"); err == nil {
		t.Error("the root was left")
		f.Close()
	}
	if err := root.mkdirs("run/lock", 0o755, os.Getuid()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "root/run/lock")); err != nil {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	l := newLab(t, HostTree)
	if err := l.driver.Check(); err != nil {
		t.Error(err)
	}
}
