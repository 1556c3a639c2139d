package container

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The test binary is also the guest program of an instance: as cloud-init it
// tries, as the instance's root, what must not be possible, and what must.

// probes are tried in this order; each returns what came of it.
var probes = []struct {
	name string
	want string
	try  func() string
}{
	// Calls that the filter refuses.
	{"mount", "EPERM", call(unix.SYS_MOUNT, 0, 0, 0, 0, 0, 0)},
	{"umount", "EPERM", call(unix.SYS_UMOUNT2, 0, 0, 0, 0, 0, 0)},
	{"pivot_root", "EPERM", call(unix.SYS_PIVOT_ROOT, 0, 0, 0, 0, 0, 0)},
	{"fsopen", "EPERM", call(unix.SYS_FSOPEN, 0, 0, 0, 0, 0, 0)},
	{"open_tree", "EPERM", call(unix.SYS_OPEN_TREE, 0, 0, 0, 0, 0, 0)},
	{"mount_setattr", "EPERM", call(unix.SYS_MOUNT_SETATTR, 0, 0, 0, 0, 0, 0)},
	{"setns", "EPERM", call(unix.SYS_SETNS, 0, 0, 0, 0, 0, 0)},
	{"unshare user", "EPERM", call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER, 0, 0, 0, 0, 0)},
	{"unshare time", "EPERM", call(unix.SYS_UNSHARE, unix.CLONE_NEWTIME, 0, 0, 0, 0, 0)},
	{"clone user", "EPERM", call(unix.SYS_CLONE, unix.CLONE_NEWUSER|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)},
	{"clone net", "EPERM", call(unix.SYS_CLONE, unix.CLONE_NEWNET|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)},
	{"clone3", "ENOSYS", call(unix.SYS_CLONE3, 0, 0, 0, 0, 0, 0)},
	{"init_module", "EPERM", call(unix.SYS_INIT_MODULE, 0, 0, 0, 0, 0, 0)},
	{"finit_module", "EPERM", call(unix.SYS_FINIT_MODULE, 0, 0, 0, 0, 0, 0)},
	{"kexec_load", "EPERM", call(unix.SYS_KEXEC_LOAD, 0, 0, 0, 0, 0, 0)},
	{"bpf", "EPERM", call(unix.SYS_BPF, 0, 0, 0, 0, 0, 0)},
	{"perf_event_open", "EPERM", call(unix.SYS_PERF_EVENT_OPEN, 0, 0, 0, 0, 0, 0)},
	{"keyctl", "EPERM", call(unix.SYS_KEYCTL, 0, 0, 0, 0, 0, 0)},
	{"io_uring_setup", "EPERM", call(unix.SYS_IO_URING_SETUP, 0, 0, 0, 0, 0, 0)},
	{"open_by_handle_at", "EPERM", call(unix.SYS_OPEN_BY_HANDLE_AT, 0, 0, 0, 0, 0, 0)},
	{"syslog", "EPERM", call(unix.SYS_SYSLOG, 10, 0, 0, 0, 0, 0)},
	{"reboot", "EPERM", call(unix.SYS_REBOOT, 0, 0, 0, 0, 0, 0)},
	{"clock_settime", "EPERM", call(unix.SYS_CLOCK_SETTIME, 0, 0, 0, 0, 0, 0)},
	{"call of tomorrow", "ENOSYS", call(newestCall+1, 0, 0, 0, 0, 0, 0)},
	{"vsock", "EAFNOSUPPORT", call(unix.SYS_SOCKET, unix.AF_VSOCK, unix.SOCK_STREAM, 0, 0, 0, 0)},
	{"alg socket", "EAFNOSUPPORT", call(unix.SYS_SOCKET, unix.AF_ALG, unix.SOCK_SEQPACKET, 0, 0, 0, 0)},

	// The machine.
	{"block device made", "EPERM", func() string { return errText(unix.Mknod("/tmp/vda", unix.S_IFBLK|0o600, int(unix.Mkdev(254, 0)))) }},
	{"character device made", "EPERM", func() string { return errText(unix.Mknod("/tmp/mem", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 1)))) }},
	{"devices", "console fd full null ptmx pts random shm stderr stdin stdout tty urandom zero", func() string { return list("/dev") }},
	{"block devices known", "", func() string { return list("/sys/class/block") + list("/sys/block") + list("/sys/dev/block") }},
	{"partitions", "", content("/proc/partitions")},
	{"kernel memory", "", content("/proc/kcore")},
	{"modules", "", content("/proc/modules")},
	{"kernel command line", strings.TrimSpace(cmdline), content("/proc/cmdline")},
	{"control groups", "", func() string { return list("/sys/fs/cgroup") }},
	{"firmware", "", func() string { return list("/sys/firmware") }},
	{"files passed on", "", func() string {
		var names []string
		for _, fd := range strings.Fields(list("/proc/self/fd")) {
			n, _ := strconv.Atoi(fd)
			if flags, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0); n > 2 && err == nil && flags&unix.FD_CLOEXEC == 0 {
				name, _ := os.Readlink("/proc/self/fd/" + fd)
				names = append(names, name)
			}
		}
		return strings.Join(names, " ")
	}},
	{"own group", "/", func() string {
		text, _ := os.ReadFile("/proc/self/cgroup")
		for line := range strings.Lines(string(text)) {
			if _, at, _ := strings.Cut(strings.TrimSpace(line), "::"); strings.Contains(line, "pids:") || at != "" {
				return line[strings.LastIndexByte(strings.TrimSpace(line), ':')+1 : len(line)-1]
			}
		}
		return string(text)
	}},
	{"write to /usr", "EROFS", write("/usr/mark")},
	{"write to /proc/sys/kernel", "EACCES", write("/proc/sys/kernel/core_pattern")},
	{"write to /proc/sys/vm", "EACCES", write("/proc/sys/vm/drop_caches")},
	{"write to /sys", "EROFS", write("/sys/mark")},
	{"write to /sys/class/net", "EACCES", write("/sys/class/net/lo/mtu")},
	{"write to /sys/class/dmi", "EROFS", write("/sys/class/dmi/id/product_name")},
	{"write to own network's settings", "", write("/proc/sys/net/ipv4/ip_forward")},
	{"write to init's program", "EACCES", write("/proc/1/exe")},
	{"init's files", "EACCES", func() string { _, err := os.Readlink("/proc/1/fd/3"); return errText(err) }},
	{"init traced", "EPERM", func() string { return errText(unix.PtraceAttach(1)) }},
	{"/usr/local", "bin etc games include lib sbin share src", func() string { return list("/usr/local") }},
	{"/usr/local/bin", "", func() string { return list("/usr/local/bin") }},
	{"host keys", "", func() string { names, _ := filepath.Glob("/etc/ssh/*key*"); return strings.Join(names, " ") }},
	{"homes", "", func() string { return list("/home") }},
	{"other users", "", func() string {
		text, _ := os.ReadFile("/etc/passwd")
		for line := range strings.Lines(string(text)) {
			if f := strings.Split(line, ":"); len(f[2]) == 4 {
				return line
			}
		}
		return ""
	}},
	{"processes", "1 self", func() string {
		var others []string
		for _, name := range strings.Fields(list("/proc")) {
			if name == fmt.Sprint(os.Getpid()) {
				name = "self"
			} else if strings.Trim(name, "0123456789") != "" {
				continue
			}
			others = append(others, name)
		}
		return strings.Join(others, " ")
	}},
	{"users", "0 is mapped", func() string {
		text, _ := os.ReadFile("/proc/self/uid_map")
		if f := strings.Fields(string(text)); len(f) == 3 && f[0] == "0" && f[1] != "0" && f[2] == "65536" {
			return "0 is mapped"
		}
		return string(text)
	}},
	{"links", "lo up|loopback", func() string {
		links, _ := net.Interfaces()
		var names []string
		for _, l := range links {
			names = append(names, l.Name+" "+strings.TrimSuffix(l.Flags.String(), "|running"))
		}
		return strings.Join(names, " ")
	}},
	{"links in /sys", "lo", func() string { return list("/sys/class/net") }},
	{"platform", "OpenStack Nova", content("/sys/class/dmi/id/product_name")},

	// What an instance's root can do.
	{"set hostname", "", func() string { return errText(unix.Sethostname([]byte("probe"))) }},
	{"add user", "", command("useradd", "-m", "-s", "/bin/sh", "alice")},
	{"set password", "", command("sh", "-c", "echo alice:secret | chpasswd")},
	{"become user", "alice", command("su", "alice", "-c", "whoami")},
	{"user's setuid program", "alice P", command("su", "alice", "-c", "passwd -S | cut -c1-7")},
	{"user writes to root's file", "denied", command("su", "alice", "-c", "echo x 2>/dev/null >/etc/hosts || echo denied")},
	{"add address", "", command("ip", "address", "add", "10.9.8.7/32", "dev", "lo")},
	{"ping", "", command("sh", "-c", "ping -c1 -W1 10.9.8.7 >/dev/null || echo failed")},
	{"raw socket", "", func() string {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
		unix.Close(fd)
		return errText(err)
	}},
	{"terminal", "", func() string { f, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0); f.Close(); return errText(err) }},
	{"null", "", write("/dev/null")},
	{"run in /tmp", "ran", command("sh", "-c", "cp /bin/echo /tmp/e && /tmp/e ran")},
	{"capability limit", fmt.Sprintf("%016x", bounding()), func() string {
		text, _ := os.ReadFile("/proc/self/status")
		_, after, _ := strings.Cut(string(text), "CapBnd:\t")
		return after[:16]
	}},
}

func bounding() (set uint64) {
	for _, c := range keptCapabilities {
		set |= 1 << c
	}
	return set
}

// probeMain runs as cloud-init: the stage init --local tries the probes, the
// others try limits, which may kill them.
func probeMain(args []string) int {
	switch strings.Join(args[1:], " ") {
	case "init --local":
		for _, p := range probes {
			fmt.Printf("probe %s = %s\n", p.name, strings.TrimSpace(p.try()))
		}
		fmt.Printf("probe outside = %s\n", reachOutside())
	case "init":
		fill(512 << 20)
	case "modules --mode=config":
		fmt.Printf("probe forks = %v\n", forkAll())
	}
	return 0
}

// outside lists what the test has set up on the machine.
const outside = "/root/outside"

// reachOutside tries the places in the file outside: directories and addresses.
func reachOutside() string {
	text, err := os.ReadFile(outside)
	if err != nil {
		return err.Error()
	}
	var reached []string
	for place := range strings.FieldsSeq(string(text)) {
		network, address, isAddress := strings.Cut(place, "!")
		if isAddress {
			if c, err := net.Dial(network, address); err == nil {
				c.Close()
				reached = append(reached, place)
			}
		} else if _, err := os.Lstat(place); err == nil {
			reached = append(reached, place)
		}
	}
	return strings.Join(reached, " ")
}

func fill(n int) {
	p := make([]byte, n)
	for i := 0; i < n; i += 4096 {
		p[i] = 1
	}
	fmt.Println("probe memory = filled", len(p))
}

// forkAll starts processes until it cannot and returns whether the limit, not
// the number tried, ended it.
func forkAll() bool {
	var all []*exec.Cmd
	defer func() {
		for _, c := range all {
			c.Process.Kill()
			c.Wait()
		}
	}()
	for range 1000 {
		c := exec.Command("/bin/sleep", "100")
		if err := c.Start(); err != nil {
			return errors.Is(err, syscall.EAGAIN)
		}
		all = append(all, c)
	}
	return false
}

func call(number uintptr, args ...uintptr) func() string {
	return func() string {
		_, _, errno := unix.RawSyscall6(number, args[0], args[1], args[2], args[3], args[4], args[5])
		if number == unix.SYS_CLONE && errno == 0 {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0) // the child, or a parent that fails the test
		}
		return errText(errno)
	}
}

func errText(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		if err != nil {
			return err.Error()
		}
		return ""
	}
	return unix.ErrnoName(errno)
}

func write(name string) func() string {
	return func() string {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			return errText(err)
		}
		defer f.Close()
		_, err = f.WriteString("1\n")
		return errText(err)
	}
}

func content(name string) func() string {
	return func() string {
		text, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			return "" // this kernel has none
		}
		return string(text) + errText(err)
	}
}

func list(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return errText(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func command(argv ...string) func() string {
	return func() string {
		out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Sprintf("%s (%v)", strings.TrimSpace(string(out)), err)
		}
		return string(out)
	}
}

// TestConfinement tries it all as the instance's root.
func TestConfinement(t *testing.T) {
	l := newLab(t, HostTree)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l.driver.config.Guest = self
	places := l.setUpOutside()
	// Left open for children by mistake, as a shell may do.
	stray, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(stray)
	st := l.boot()
	console := l.console()
	got := map[string]string{}
	for line := range strings.Lines(console) {
		if name, value, ok := strings.Cut(strings.TrimPrefix(line, "probe "), " ="); ok {
			got[name] = strings.TrimSpace(value)
		}
	}
	for _, p := range probes {
		if value, ok := got[p.name]; !ok || value != p.want {
			t.Errorf("%s: %q, want %q", p.name, value, p.want)
		}
	}
	if r, ok := got["outside"]; !ok || r != "" {
		t.Errorf("reached %q of %v", r, places)
	}
	if _, filled := got["memory"]; filled {
		t.Error("the memory limit does not hold")
	}
	if got["forks"] != "true" {
		t.Error("the limit of processes does not hold")
	}
	i := slices.IndexFunc(st.Commands, func(c Command) bool { return c.Name == "init" })
	if i < 0 || st.Commands[i].Exit != 128+int(unix.SIGKILL) {
		t.Errorf("filling the memory: %+v", st.Commands)
	}
	if t.Failed() {
		t.Log(console)
	}
}

// setUpOutside opens sockets of the machine and tells the instance of them and
// of the state directory, through its disk.
func (l *lab) setUpOutside() []string {
	l.Helper()
	name := fmt.Sprintf("imprint-test-%d", os.Getpid())
	places := []string{l.driver.config.Dir, os.Args[0], "/instance", "/rootfs", "/lower", "/mnt/instance"}
	for network, address := range map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0", "unix": "@" + name} {
		s, err := net.Listen(network, address)
		if err != nil {
			l.Logf("listen: %v", err)
			continue
		}
		l.Cleanup(func() { s.Close() })
		places = append(places, network+"!"+s.Addr().String())
	}
	dir := filepath.Join(l.dir(), "disk/upper/root")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		l.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "outside"), []byte(strings.Join(places, " ")), 0o644); err != nil {
		l.Fatal(err)
	}
	return places
}
