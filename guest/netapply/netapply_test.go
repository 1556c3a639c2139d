package netapply

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"imprint/base/dhcp"
	"imprint/base/netns"
	"imprint/base/rootfs"
	"imprint/guest/netstate"
)

const mac = "fa:16:3e:00:00:01"

// system is a namespace with eth0 and eth1, each on a cable to another
// namespace, and an empty root.
type system struct {
	a      *Applier
	guest  *netns.NS
	server *netns.NS
	root   *rootfs.Root
}

func newSystem(t *testing.T) system {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	root, err := rootfs.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	s := system{root: root, guest: namespace(t, "g"), server: namespace(t, "s")}
	for i := range 2 {
		ip(t, s.server, fmt.Sprintf("link add srv%d type veth peer name eth%d netns %s", i, i, s.guest.Name()))
		ip(t, s.server, fmt.Sprintf("link set srv%d up", i))
	}
	ip(t, s.guest, "link set eth0 address "+mac)
	s.a = &Applier{Root: root, Wait: 10 * time.Second}
	return s
}

func (s system) up(t *testing.T, state *netstate.State) (r Result, err error) {
	err = s.guest.Do(func() (err error) { r, err = s.a.Up(t.Context(), state); return })
	return r, err
}

func (s system) nics(t *testing.T) (nics []netstate.NIC) {
	t.Helper()
	if err := s.guest.Do(func() (err error) { nics, err = s.a.NICs(); return }); err != nil {
		t.Fatal(err)
	}
	return nics
}

func namespace(t *testing.T, suffix string) *netns.NS {
	t.Helper()
	name := fmt.Sprintf("netapplytest-%d-%s", os.Getpid(), suffix)
	ns, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close(); netns.Delete(name) })
	return ns
}

func ip(t *testing.T, ns *netns.NS, args string) string {
	t.Helper()
	out, err := exec.Command("ip", strings.Fields("-n "+ns.Name()+" "+args)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v: %s", args, err, out)
	}
	return string(out)
}

// shown is what ip shows of routes and addresses of IPv4, in lines without
// the spaces at their ends.
func (s system) shown(t *testing.T) []string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(ip(t, s.guest, "-4 route show")) {
		lines = append(lines, strings.TrimSpace(line))
	}
	for line := range strings.Lines(ip(t, s.guest, "-4 -br addr show")) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines
}

func (s system) want(t *testing.T, want ...string) {
	t.Helper()
	got := s.shown(t)
	for i, line := range got { // the peer's index varies
		name, rest, _ := strings.Cut(line, "@")
		if _, after, ok := strings.Cut(rest, " "); ok {
			got[i] = name + " " + after
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func (s system) serve(t *testing.T) {
	t.Helper()
	ip(t, s.server, "addr add 17.17.17.2/24 dev srv0")
	m, err := dhcp.ParseMAC(mac)
	if err != nil {
		t.Fatal(err)
	}
	gw := netip.MustParseAddr("17.17.17.1")
	n := &dhcp.Network{Domain: "openstacklocal", MTU: 1450,
		Subnets: []dhcp.Subnet{{Prefix: netip.MustParsePrefix("17.17.17.0/24"), Server: netip.MustParseAddr("17.17.17.2"),
			Gateway: gw, DNS: []netip.Addr{netip.MustParseAddr("192.0.2.53")},
			Routes: []dhcp.Route{{To: netip.MustParsePrefix("169.254.169.254/32"), Via: gw}}}},
		Hosts: map[dhcp.MAC]dhcp.Host{m: {Addr: netip.MustParseAddr("17.17.17.5")}}}
	var conn *net.UDPConn
	if err := s.server.Do(func() (err error) { conn, err = dhcp.OpenServer("srv0"); return }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- dhcp.Serve(ctx, conn, func() *dhcp.Network { return n }, nil, nil) }()
	t.Cleanup(func() { cancel(); <-done; conn.Close() })
}

func TestFallbackByDHCP(t *testing.T) {
	s := newSystem(t)
	s.serve(t)
	state := netstate.Fallback(s.nics(t))
	for range 2 {
		r, err := s.up(t, state)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Leases) != 1 || r.Leases[0].MTU != 1450 {
			t.Errorf("leases %+v", r.Leases)
		}
		s.want(t,
			"default via 17.17.17.1 dev eth0 proto static",
			"17.17.17.0/24 dev eth0 proto kernel scope link src 17.17.17.5",
			"169.254.169.254 via 17.17.17.1 dev eth0 proto static",
			"lo UNKNOWN 127.0.0.1/8", "eth0 UP 17.17.17.5/24")
		if out := ip(t, s.guest, "link show eth0"); !strings.Contains(out, "mtu 1450") {
			t.Error(out)
		}
		if b, err := s.root.ReadFile("/etc/resolv.conf"); err != nil || string(b) != "search openstacklocal\nnameserver 192.0.2.53\n" {
			t.Errorf("resolv.conf %q, %v", b, err)
		}
	}
	for range 2 {
		if err := s.guest.Do(func() error { return s.a.Down(state) }); err != nil {
			t.Fatal(err)
		}
		s.want(t, "lo UNKNOWN 127.0.0.1/8")
	}
}

func TestStatic(t *testing.T) {
	s := newSystem(t)
	links := s.nics(t)
	var eth1 string
	for _, n := range links {
		if n.Name == "eth1" {
			eth1 = n.MAC
		}
	}
	state, problems, err := netstate.FromNetworkData(fmt.Appendf(nil, `{
		"links": [{"id": "a", "type": "ovs", "ethernet_mac_address": %q, "mtu": 1400},
			{"id": "b", "type": "ovs", "ethernet_mac_address": %q}],
		"networks": [
			{"id": 1, "link": "a", "type": "ipv4", "ip_address": "10.0.0.5/24", "routes": [
				{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "10.0.0.1"},
				{"network": "169.254.169.254", "netmask": "255.255.255.255", "gateway": "10.0.0.2"}]},
			{"id": 2, "link": "b", "type": "ipv4", "ip_address": "10.1.0.5/32", "routes": [
				{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "10.1.0.1"},
				{"network": "10.2.0.0", "netmask": "255.255.0.0", "gateway": "10.9.9.9"}]},
			{"id": 3, "link": "a", "type": "ipv6", "ip_address": "2001:db8::5/64", "routes": [
				{"network": "::", "netmask": "::", "gateway": "2001:db8::1"}]}],
		"services": [{"type": "dns", "address": "192.0.2.99"}]}`, mac, eth1), links)
	if err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	want := []string{
		"default via 10.0.0.1 dev eth0 proto static",
		"10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.5",
		"10.2.0.0/16 via 10.9.9.9 dev eth1 proto static",
		"10.9.9.9 dev eth1 proto static scope link",
		"169.254.169.254 via 10.0.0.2 dev eth0 proto static",
		"lo UNKNOWN 127.0.0.1/8", "eth0 UP 10.0.0.5/24", "eth1 UP 10.1.0.5/32",
	}
	for range 2 {
		if _, err := s.up(t, state); err != nil {
			t.Fatal(err)
		}
		s.want(t, want...)
	}
	if out := ip(t, s.guest, "-6 route show default"); !strings.Contains(out, "via 2001:db8::1 dev eth0") {
		t.Error(out)
	}
	if b, _ := s.root.ReadFile("/etc/resolv.conf"); string(b) != "nameserver 192.0.2.99\n" {
		t.Errorf("resolv.conf %q", b)
	}
	// Another configuration leaves nothing of this one on the link, and does
	// not bring up what is to be brought up by hand.
	state.Links[0].Subnets = []netstate.Subnet{{Method: netstate.Static, Address: netip.MustParsePrefix("10.0.7.5/24")},
		{Method: netstate.Static, Address: netip.MustParsePrefix("10.0.8.5/24"), ByHand: true}}
	state.Links[1].Subnets = state.Links[0].Subnets[:0]
	if _, err := s.up(t, state); err != nil {
		t.Fatal(err)
	}
	if out := ip(t, s.guest, "-4 -br addr show eth0"); !strings.Contains(out, "10.0.7.5/24") || strings.Contains(out, "10.0.0.5") || strings.Contains(out, "10.0.8.5") {
		t.Error(out)
	}
}

func TestWhatIPv6LearnedStays(t *testing.T) {
	s := newSystem(t)
	ip(t, s.guest, "link set eth0 up")
	ip(t, s.guest, "addr add 2001:db8:9::5/64 dev eth0 valid_lft 1000 preferred_lft 1000 nodad")
	ip(t, s.guest, "route add default via fe80::1 dev eth0 proto ra metric 512")
	ip(t, s.guest, "addr add 2001:db8:8::5/64 dev eth0 nodad")
	if _, err := s.up(t, &netstate.State{Links: []netstate.Link{{Name: "eth0", Type: netstate.Physical,
		Subnets: []netstate.Subnet{{Method: netstate.Static, Address: netip.MustParsePrefix("10.0.0.5/24")}}}}}); err != nil {
		t.Fatal(err)
	}
	out := ip(t, s.guest, "-6 addr show eth0 scope global") + ip(t, s.guest, "-6 route show default")
	if !strings.Contains(out, "2001:db8:9::5") || !strings.Contains(out, "via fe80::1") || strings.Contains(out, "2001:db8:8::5") {
		t.Error(out)
	}
}

func TestOneLinkFailsAnotherComesUp(t *testing.T) {
	s := newSystem(t)
	s.a.Wait = 100 * time.Millisecond
	_, err := s.up(t, &netstate.State{Links: []netstate.Link{
		{Name: "nosuch0", Type: netstate.Physical},
		{Name: "bond0", Type: netstate.BondLink},
		{Name: "eth0", Type: netstate.Physical, Subnets: []netstate.Subnet{{Method: netstate.DHCP4}}},
		{Name: "eth1", Type: netstate.Physical, Subnets: []netstate.Subnet{{Method: netstate.Static, Address: netip.MustParsePrefix("10.1.0.5/24")}}},
	}})
	for _, want := range []error{ErrNotFound, errors.ErrUnsupported, context.DeadlineExceeded} {
		if !errors.Is(err, want) {
			t.Errorf("%v does not say %v", err, want)
		}
	}
	s.want(t, "10.1.0.0/24 dev eth1 proto kernel scope link src 10.1.0.5", "lo UNKNOWN 127.0.0.1/8", "eth1 UP 10.1.0.5/24")
	if _, err := s.root.Stat("/etc/resolv.conf"); err == nil {
		t.Error("resolv.conf was written without a name server")
	}
}
