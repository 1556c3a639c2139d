package dhcp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/base/netns"
)

// wire is two namespaces and a cable: serv with 17.17.17.2/24, and eth0 of the
// client with testMAC and no address.
type wire struct{ server, client *netns.NS }

func newWire(t *testing.T) wire {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	var w wire
	for side, ns := range map[string]**netns.NS{"s": &w.server, "c": &w.client} {
		name := fmt.Sprintf("dhcptest-%d-%s", os.Getpid(), side)
		made, err := netns.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { made.Close(); netns.Delete(name) })
		*ns = made
	}
	ip(t, w.server, "link add serv type veth peer name eth0 netns "+w.client.Name())
	ip(t, w.server, "addr add 17.17.17.2/24 dev serv")
	ip(t, w.server, "link set serv up")
	ip(t, w.client, "link set eth0 address "+testMAC.String()+" up")
	return w
}

func ip(t *testing.T, ns *netns.NS, args string) {
	t.Helper()
	cmd := exec.Command("ip", strings.Fields("-n "+ns.Name()+" "+args)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", args, err, out)
	}
}

// start runs a program in ns; it is ended with the test.
func start(t *testing.T, ns *netns.NS, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	// Its children too: both stock clients fork.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := ns.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); cmd.Wait() })
}

// serve runs our server on the wire until the test ends.
func serve(t *testing.T, w wire, n *Network) <-chan Event {
	t.Helper()
	events := make(chan Event, 64)
	var conn *net.UDPConn
	if err := w.server.Do(func() (err error) { conn, err = OpenServer("serv"); return }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- Serve(ctx, conn, func() *Network { return n }, func(e Event) { events <- e }, nil) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		conn.Close()
	})
	return events
}

func acquire(t *testing.T, w wire, c *Client) (l Lease) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := w.client.Do(func() (err error) { l, err = c.Acquire(ctx, "eth0"); return })
	if err != nil {
		t.Error(err)
	}
	return l
}

// kinds waits for n different kinds in a row: on a slow machine a client asks
// again before it is answered.
func kinds(t *testing.T, events <-chan Event, n int) (list []EventKind) {
	t.Helper()
	for len(list) < n {
		select {
		case e := <-events:
			if len(list) == 0 || list[len(list)-1] != e.Kind {
				list = append(list, e.Kind)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("only %q happened", list)
		}
	}
	return list
}

func wantLease() Lease {
	n := testNetwork()
	return Lease{
		Interface: "eth0", Address: netip.MustParsePrefix("17.17.17.5/24"),
		ServerID: netip.MustParseAddr("17.17.17.2"), Router: netip.MustParseAddr("17.17.17.1"),
		Routes: n.Subnets[0].routes(), DNS: n.Subnets[0].DNS,
		Domain: "openstacklocal", HostName: "host-17-17-17-5", MTU: 1450,
		Lifetime: 24 * time.Hour, Renew: 12 * time.Hour, Rebind: 21 * time.Hour,
	}
}

func TestClientAndServer(t *testing.T) {
	w := newWire(t)
	events := serve(t, w, testNetwork())
	l := acquire(t, w, &Client{})
	got := l
	got.Acquired = time.Time{}
	if d := cmp.Diff(wantLease(), got, byValue); d != "" {
		t.Error(d)
	}
	if got, want := kinds(t, events, 2), []EventKind{Offered, Acked}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}

	ip(t, w.client, "addr add 17.17.17.5/24 dev eth0")
	renew := func(l Lease) error {
		return w.client.Do(func() error { _, err := (&Client{}).Renew(t.Context(), l); return err })
	}
	if err := renew(l); err != nil {
		t.Errorf("renew: %v", err)
	}
	ip(t, w.client, "addr add 17.17.17.6/24 dev eth0")
	l.Address = netip.MustParsePrefix("17.17.17.6/24")
	if err := renew(l); !errors.Is(err, ErrRefused) {
		t.Errorf("renewing a foreign address: %v", err)
	}
	if got, want := kinds(t, events, 2), []EventKind{Acked, Refused}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// sentLog tells of every packet that the client has sent.
type sentLog struct {
	slog.Handler
	sent chan struct{}
}

func (l sentLog) Enabled(context.Context, slog.Level) bool { return true }
func (l sentLog) Handle(context.Context, slog.Record) error {
	l.sent <- struct{}{}
	return nil
}

func TestClientBeforeServer(t *testing.T) {
	w := newWire(t)
	log := sentLog{slog.DiscardHandler, make(chan struct{}, 64)}
	got := make(chan Lease)
	go func() { got <- acquire(t, w, &Client{Log: slog.New(log)}) }()
	<-log.sent
	serve(t, w, testNetwork())
	if l := <-got; l.Address != wantLease().Address {
		t.Errorf("got %+v", l)
	}
}

func TestClientWithoutServer(t *testing.T) {
	w := newWire(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := w.client.Do(func() error { _, err := (&Client{}).Acquire(ctx, "eth0"); return err })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if err := w.client.Do(func() error { _, err := (&Client{}).Acquire(ctx, "nosuch0"); return err }); err == nil {
		t.Error("acquired a lease on nothing")
	}
}

// bound starts a stock client, with our script as its own, and gives back the
// environment of the first call that is for a lease.
func bound(t *testing.T, w wire, reason, client string, args ...string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	fifo, script := filepath.Join(dir, "env"), filepath.Join(dir, "script")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.SetReadDeadline(time.Now().Add(30 * time.Second))
	text := "#!/bin/sh\n{ echo reason=${reason:-$1}; env; echo END; } > " + fifo + "\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	for i, a := range args {
		args[i] = strings.NewReplacer("SCRIPT", script, "DIR", dir).Replace(a)
	}
	start(t, w.client, client, args...)
	env := map[string]string{}
	for in := bufio.NewScanner(f); in.Scan(); {
		if in.Text() == "END" {
			if env["reason"] == reason {
				return env
			}
			clear(env)
			continue
		}
		k, v, _ := strings.Cut(in.Text(), "=")
		if _, seen := env[k]; !seen {
			env[k] = v
		}
	}
	t.Fatalf("%s got no lease: %v", client, env)
	return nil
}

func check(t *testing.T, got map[string]string, want map[string]string) {
	t.Helper()
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is %q, want %q", k, got[k], v)
		}
	}
}

func TestServerWithUdhcpc(t *testing.T) {
	w := newWire(t)
	serve(t, w, testNetwork())
	env := bound(t, w, "bound", "udhcpc", "-f", "-n", "-i", "eth0", "-s", "SCRIPT", "-O", "staticroutes", "-O", "mtu")
	check(t, env, map[string]string{
		"ip": "17.17.17.5", "mask": "24", "router": "17.17.17.1", "dns": "192.0.2.53", "mtu": "1450",
		"domain": "openstacklocal", "lease": "86400", "serverid": "17.17.17.2",
		"staticroutes": "169.254.169.254/32 17.17.17.1 0.0.0.0/0 17.17.17.1",
	})
}

func TestServerWithDhclient(t *testing.T) {
	w := newWire(t)
	events := serve(t, w, testNetwork())
	env := bound(t, w, "BOUND", "dhclient", "-4", "-1", "-d", "-sf", "SCRIPT", "-cf", "/etc/dhcp/dhclient.conf",
		"-lf", "DIR/leases", "-pf", "DIR/pid", "eth0")
	check(t, env, map[string]string{
		"new_ip_address": "17.17.17.5", "new_subnet_mask": "255.255.255.0", "new_routers": "17.17.17.1",
		"new_domain_name_servers": "192.0.2.53", "new_interface_mtu": "1450", "new_host_name": "host-17-17-17-5",
		"new_rfc3442_classless_static_routes": "32 169 254 169 254 17 17 17 1 0 17 17 17 1",
	})
	if got := kinds(t, events, 2); !slices.Equal(got, []EventKind{Offered, Acked}) {
		t.Errorf("got %q", got)
	}
}

func TestClientWithDnsmasq(t *testing.T) {
	w := newWire(t)
	start(t, w.server, "dnsmasq", "--keep-in-foreground", "--log-facility=-", "--port=0", "--conf-file=/dev/null", "--user=root",
		"--pid-file=", "--interface=serv", "--except-interface=lo", "--bind-dynamic", "--domain=openstacklocal",
		"--dhcp-leasefile="+filepath.Join(t.TempDir(), "leases"), "--no-resolv", "--no-hosts",
		"--dhcp-range=17.17.17.0,static,255.255.255.0,86400s",
		"--dhcp-host="+testMAC.String()+",host-17-17-17-5,17.17.17.5",
		"--dhcp-option=option:router,17.17.17.1", "--dhcp-option=option:dns-server,192.0.2.53",
		"--dhcp-option=option:classless-static-route,169.254.169.254/32,17.17.17.1,0.0.0.0/0,17.17.17.1",
		"--dhcp-option-force=option:mtu,1450")
	l := acquire(t, w, &Client{HostName: "c1"})
	l.Acquired = time.Time{}
	want := wantLease()
	want.HostName = l.HostName
	if d := cmp.Diff(want, l, byValue); d != "" {
		t.Error(d)
	}
}
