package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
}

func fresh(t *testing.T) *NS {
	t.Helper()
	needRoot(t)
	name := fmt.Sprintf("tns-%d-%s", os.Getpid(), strings.ToLower(t.Name()[4:]))
	ns, err := Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ns.Close()
		if err := Delete(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	})
	return ns
}

func TestNamed(t *testing.T) {
	ns := fresh(t)
	out, err := exec.Command("ip", "netns", "list").Output()
	if err != nil || !strings.Contains(string(out), ns.Name()) {
		t.Errorf("ip netns list = %q, %v; want %s", out, err, ns.Name())
	}
	if names, err := List(); err != nil || !slices.Contains(names, ns.Name()) {
		t.Errorf("List = %v, %v", names, err)
	}
	if _, err := Create(ns.Name()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second Create: %v, want ErrExist", err)
	}
	again, err := Open(ns.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	a, _ := ns.ID()
	b, _ := again.ID()
	if a != b || a == (ID{}) {
		t.Errorf("ids %v and %v of one namespace", a, b)
	}
	if err := Delete(ns.Name()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ns.Name()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open after Delete: %v", err)
	}
	if err := Delete(ns.Name()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("second Delete: %v", err)
	}
}

func TestNamesAreNames(t *testing.T) {
	for _, name := range []string{"", ".", "..", "a/b", "../x", strings.Repeat("n", 256)} {
		_, created := Create(name)
		_, opened := Open(name)
		if err := errors.Join(created, opened, Delete(name)); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q: %v, want ErrInvalid", name, err)
		}
	}
}

func TestDeleteTakesLeftoverFile(t *testing.T) {
	ns := fresh(t)
	name := ns.Name() + "-half"
	if err := os.WriteFile(filepath.Join(Dir, name), nil, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(name); err == nil {
		t.Error("a plain file was opened as a namespace")
	}
	if names, _ := List(); slices.Contains(names, name) {
		t.Error("a plain file is listed")
	}
	if err := Delete(name); err != nil {
		t.Error(err)
	}
}

func TestSocketsWorkOutside(t *testing.T) {
	ns := fresh(t)
	if err := exec.Command("ip", "-n", ns.Name(), "link", "set", "lo", "up").Run(); err != nil {
		t.Fatal(err)
	}
	l, err := ns.ListenTCP(t.Context(), "tcp", netip.MustParseAddrPort("[::]:80"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u, err := ns.ListenUDP(t.Context(), "udp4", netip.MustParseAddrPort("127.0.0.1:67"))
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	out, err := exec.Command("ip", "netns", "exec", ns.Name(), "cat", "/proc/net/tcp6").Output()
	if err != nil || !strings.Contains(string(out), ":0050 ") {
		t.Errorf("no listener on port 80 inside: %s, %v", out, err)
	}
	var c net.Conn
	err = ns.Do(func() (err error) { c, err = net.Dial("tcp", "127.0.0.1:80"); return err })
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := l.Accept(); err != nil {
		t.Error(err)
	}
}

func TestDoLeavesOthersAlone(t *testing.T) {
	ns := fresh(t)
	before, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	if err := ns.Do(func() error { return boom }); !errors.Is(err, boom) {
		t.Errorf("Do = %v", err)
	}
	for range 200 {
		ns.Do(func() error { return nil })
		for _, thread := range []string{"/proc/thread-self/ns/net", "/proc/self/ns/net"} { // the latter is the main thread's
			if now, _ := os.Readlink(thread); now != before {
				t.Fatalf("%s was left in %s", thread, now)
			}
		}
	}
}

func TestSysctl(t *testing.T) {
	ns := fresh(t)
	for range 2 {
		if err := ns.SetSysctl("ipv4/ip_forward", "1"); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := ns.Sysctl("ipv4/ip_forward"); err != nil || got != "1" {
		t.Errorf("ip_forward = %q, %v", got, err)
	}
	if err := ns.SetSysctl("no/such", "1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("unknown key: %v", err)
	}
	if err := ns.SetSysctlIfKnown("no/such", "1"); err != nil {
		t.Error(err)
	}
	if !ns.HasIPv6() {
		t.Error("a new namespace has no IPv6")
	}
	if err := ns.SetSysctl("ipv6/conf/default/disable_ipv6", "1"); err != nil || ns.HasIPv6() {
		t.Errorf("IPv6 is not off: %v", err)
	}
	if _, err := ns.Sysctl("../kernel/hostname"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key outside net: %v", err)
	}
}

// TestFirstSocketOfAProcess: a process that listens for the first time in a
// namespace whose loopback is down has a socket of both families.
func TestFirstSocketOfAProcess(t *testing.T) {
	needRoot(t)
	if os.Getenv("FIRST_SOCKET") == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run", "^TestFirstSocketOfAProcess$")
		cmd.Env = append(os.Environ(), "FIRST_SOCKET=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	ns := fresh(t)
	err := ns.Do(func() error {
		return exec.Command("sh", "-ec", "ip link add x type veth peer y; ip addr add 10.0.0.1/24 dev x; ip link set x up").Run()
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := ns.ListenTCP(t.Context(), "tcp", netip.AddrPortFrom(netip.IPv6Unspecified(), 9697))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := l.Addr().String(); got != "[::]:9697" {
		t.Errorf("listening on %s", got)
	}
}
