package l3agent

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/base/dhcp"
	"imprint/base/netns"
	"imprint/host/cloud"
	"imprint/host/fabric"
)

// outside is an external network with a router's gateway and a machine on it.
func (l *lab) outside(r *cloud.DesiredRouter) (cloud.DesiredPort, *netns.NS) {
	l.Helper()
	n := l.network()
	d := l.slice.Networks[n]
	d.Subnets = []cloud.DesiredSubnet{{ID: "ext", CIDR: netip.MustParsePrefix("203.0.113.0/24"), Gateway: netip.MustParseAddr("203.0.113.1")}}
	l.slice.Networks[n] = d
	p := l.port(n, cloud.OwnerRouterGateway, string(r.ID), "203.0.113.10/24")
	p.Addrs[0].SubnetID = "ext"
	l.slice.Ports[p.ID] = p
	r.Gateway = p.ID
	l.slice.Routers[r.ID] = *r
	return p, l.instance(n, "203.0.113.1/24", "203.0.113.254")
}

func TestGateway(t *testing.T) {
	l := newLab(t, "gw")
	n, other := l.network(), l.network()
	r := l.router(map[cloud.NetworkID]string{n: "10.0.0.1/24", other: "10.0.1.1/24"})
	r.SNAT = true
	r.Floating = []cloud.DesiredFloating{{Addr: netip.MustParseAddr("203.0.113.20"), Fixed: netip.MustParseAddr("10.0.0.5")}}
	_, world := l.outside(&r)
	l.reconcile()
	floating, hidden := l.instance(n, "10.0.0.5/24", "10.0.0.1"), l.instance(other, "10.0.1.6/24", "10.0.1.1")
	addr := map[*netns.NS]string{floating: "203.0.113.20", hidden: "203.0.113.10"}
	for ns, want := range addr {
		if got := source(t, ns, world, "203.0.113.1"); got != want {
			t.Errorf("outside %s is seen, want %s", got, want)
		}
	}
	if got := source(t, world, floating, "203.0.113.20"); got != "203.0.113.1" {
		t.Errorf("the floating address is reached from outside by %q", got)
	}
	// From inside, by its floating address: answers come back through the router.
	if got := source(t, hidden, floating, "203.0.113.20"); got != "203.0.113.10" {
		t.Errorf("by its floating address it is reached from inside by %q", got)
	}
	if got := source(t, hidden, floating, "10.0.0.5"); got != "10.0.1.6" {
		t.Errorf("inside, without translation: %q", got)
	}
	// A hidden address, with a route to it.
	if out, err := inside(world, "ip", "route", "add", "10.0.0.0/16", "via", "203.0.113.10"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := inside(world, "ping", "-c1", "-W1", "10.0.1.6"); err == nil {
		t.Errorf("a hidden address is reached from outside:\n%s", out)
	}
	for _, a := range []string{"203.0.113.10:9697", "203.0.113.20:9697", "203.0.113.10:80"} {
		if out, err := inside(world, "curl", "-sS", "--max-time", "0.5", "http://"+a+"/"); err == nil {
			t.Errorf("%s answers from outside: %q", a, out)
		}
	}

	name := l.agent.namespace(r.ID)
	before := l.state(name)
	l.agent = l.newAgent()
	l.reconcile()
	l.reconcile()
	if after := l.state(name); clearCounters(after) != clearCounters(before) {
		t.Errorf("repeating changed the router:\n%s\n%s", before, after)
	}

	// Without translation, and without the floating address.
	r.SNAT, r.Floating = false, nil
	l.slice.Routers[r.ID] = r
	l.reconcile()
	if got := source(t, hidden, world, "203.0.113.1"); got != "10.0.1.6" {
		t.Errorf("without translation %q is seen", got)
	}
	if got := l.state(name); strings.Contains(got, "203.0.113.20") || strings.Contains(got, "snat") {
		t.Errorf("still there:\n%s", got)
	}
	// Without a gateway.
	r.Gateway = ""
	l.slice.Routers[r.ID] = r
	l.reconcile()
	if got := l.state(name); strings.Contains(got, "qg-") || strings.Contains(got, "default via") {
		t.Errorf("the gateway is still there:\n%s", got)
	}
}

func clearCounters(s string) string {
	var out []string
	for line := range strings.Lines(s) {
		if before, _, ok := strings.Cut(line, "counter packets"); ok {
			line = before
		}
		out = append(out, line)
	}
	return strings.Join(out, "")
}

// source returns the address that a TCP connection from one namespace to addr
// in another comes from.
func source(t *testing.T, from, to *netns.NS, addr string) string {
	t.Helper()
	l, err := to.ListenTCP(t.Context(), "tcp4", netip.MustParseAddrPort("0.0.0.0:7777"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.SetDeadline(time.Now().Add(10 * time.Second))
	ended := make(chan string, 1)
	go func() {
		out, _ := inside(from, "busybox", "nc", "-w", "8", addr, "7777", "-e", "true")
		ended <- out
	}()
	defer func() { <-ended }()
	c, err := l.Accept()
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	host, _, _ := strings.Cut(c.RemoteAddr().String(), ":")
	return host
}

// TestNewFloatingIsAnnounced: an address that moves to another gateway is found
// there at once.
func TestNewFloatingIsAnnounced(t *testing.T) {
	l := newLab(t, "fgarp")
	n := l.network()
	a, b := l.router(map[cloud.NetworkID]string{n: "10.0.0.1/24"}), l.router(map[cloud.NetworkID]string{n: "10.0.0.2/24"})
	pa, world := l.outside(&a)
	pb := l.port(pa.NetworkID, cloud.OwnerRouterGateway, string(b.ID), "203.0.113.11/24")
	b.Gateway = pb.ID
	move := []cloud.DesiredFloating{{Addr: netip.MustParseAddr("203.0.113.20"), Fixed: netip.MustParseAddr("10.0.0.1")}}
	a.Floating = move
	l.slice.Routers[a.ID], l.slice.Routers[b.ID] = a, b
	l.reconcile()
	if out, err := inside(world, "ping", "-c1", "-W5", "203.0.113.20"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	a.Floating, b.Floating = nil, []cloud.DesiredFloating{{Addr: move[0].Addr, Fixed: netip.MustParseAddr("10.0.0.2")}}
	l.slice.Routers[a.ID], l.slice.Routers[b.ID] = a, b
	l.reconcile()
	if out, err := inside(world, "ping", "-c5", "-i0.3", "-W1", "203.0.113.20"); err != nil {
		t.Errorf("after it moved: %v\n%s", err, out)
	}
	if out, _ := inside(world, "ip", "neigh", "show", "203.0.113.20"); !strings.Contains(out, string(pb.MAC)) {
		t.Errorf("it is known as %q, want %s", out, pb.MAC)
	}
}

// six gives network n an IPv6 subnet with a mode, and the router its gateway.
func (l *lab) six(n cloud.NetworkID, r *cloud.DesiredRouter, mode string) cloud.DesiredPort {
	d := l.slice.Networks[n]
	d.Subnets = []cloud.DesiredSubnet{{
		ID: "six", CIDR: netip.MustParsePrefix("2001:db8::/64"), Gateway: netip.MustParseAddr("2001:db8::1"), DHCP: true,
		Router: netip.MustParseAddr("2001:db8::1"), RAMode: mode, AddrMode: mode, DNS: []netip.Addr{netip.MustParseAddr("2001:db8::53")},
	}}
	l.slice.Networks[n] = d
	p := l.port(n, cloud.OwnerRouterInterface, string(r.ID), "2001:db8::1/64")
	p.Addrs[0].SubnetID = "six"
	l.slice.Ports[p.ID] = p
	r.Ports = append(r.Ports, p.ID)
	l.slice.Routers[r.ID] = *r
	return p
}

// TestIPv6Only: an instance without any IPv4 makes its address as the router
// says, and reads metadata through the router.
func TestIPv6Only(t *testing.T) {
	l := newLab(t, "six")
	n, r := l.network(), l.router(nil)
	leg := l.six(n, &r, cloud.ModeSLAAC)
	l.reconcile()
	vm := l.slaac(n)
	waitFor(t, vm, "ip -6 route", "default via fe80::")
	out, err := inside(vm, "curl", "-sSg", "--max-time", "10", "http://[fe80::a9fe:a9fe%25eth0]/openstack")
	if err != nil || !strings.HasPrefix(out, "router/"+string(r.ID)+" from fe80::") {
		t.Errorf("metadata: %q, %v", out, err)
	}
	for _, url := range []string{"http://[fe80::a9fe:a9fe%25eth0]:9697/", "http://[2001:db8::1]:9697/", "http://[2001:db8::1]/"} {
		if out, err := inside(vm, "curl", "-sSg", "--max-time", "0.5", url); err == nil {
			t.Errorf("%s answered %q", url, out)
		}
	}

	// The DHCP port has the address: the router gives it up.
	l.agent.Configure(Config{DHCPMetadata: true})
	l.port(n, cloud.OwnerDHCP, "dhcp", "2001:db8::2/64")
	l.reconcile()
	if got := l.state(l.agent.namespace(r.ID)); strings.Contains(got, "a9fe:a9fe/64") {
		t.Errorf("the router still has the address:\n%s", got)
	}

	// No more advertisements: the socket is taken back.
	d := l.slice.Networks[n]
	d.Subnets = append([]cloud.DesiredSubnet(nil), d.Subnets...)
	d.Subnets[0].RAMode = ""
	l.slice.Networks[n] = d
	l.reconcile()
	if items, _ := l.adverts.List(t.Context()); len(items) != 0 {
		t.Errorf("leg %s still advertises: %v", leg.ID, items)
	}
}

// slaac plugs an instance in that configures itself.
func (l *lab) slaac(n cloud.NetworkID) *netns.NS {
	l.Helper()
	ns, err := l.f.EnsureNamespace(l.f.Name("vm-" + cloud.NewUUID()[:8]))
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { ns.Close() })
	p := l.port(n, "compute:nova", "", "2001:db8::f0/64")
	mac := p.MAC.Hardware()
	// The address that it will make.
	p.Addrs[0].Prefix = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 8: mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]}), 64)
	l.slice.Ports[p.ID] = p
	l.must(ns.SetSysctl("ipv6/conf/default/accept_ra", "1"))
	l.must(l.f.Plug(fabric.Plug{Port: p, MTU: 1450, Target: ns, Name: "eth0"}))
	if out, err := inside(ns, "ip", "link", "set", "eth0", "up"); err != nil {
		l.Fatalf("%v\n%s", err, out)
	}
	waitFor(l.T, ns, "ip -6 addr show eth0", p.Addrs[0].Prefix.String()+" scope global dynamic")
	return ns
}

func waitFor(t *testing.T, ns *netns.NS, command, want string) {
	t.Helper()
	var out string
	for began := time.Now(); time.Since(began) < 20*time.Second; {
		out, _ = inside(ns, strings.Fields(command)...)
		if strings.Contains(out, want) {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Errorf("%s never shows %q:\n%s", command, want, out)
}

func TestAdvertisement(t *testing.T) {
	p := func(s string) netip.Prefix { return netip.MustParsePrefix(s) }
	port := cloud.DesiredPort{MAC: "fa:16:3e:00:00:01", Addrs: []cloud.PortAddr{{SubnetID: "a"}, {SubnetID: "b"}, {SubnetID: "none"}, {SubnetID: "four"}}}
	n := cloud.DesiredNetwork{MTU: 1450, Subnets: []cloud.DesiredSubnet{
		{ID: "four", CIDR: p("10.0.0.0/24")},
		{ID: "none", CIDR: p("2001:db8:9::/64")},
		{ID: "elsewhere", CIDR: p("2001:db8:8::/64"), RAMode: cloud.ModeSLAAC},
	}}
	if a, ok := advertisement(port, n); ok {
		t.Errorf("advertised without a mode: %+v", a)
	}
	n.Subnets = append(n.Subnets,
		cloud.DesiredSubnet{ID: "a", CIDR: p("2001:db8::/64"), RAMode: cloud.ModeStateful, DNS: []netip.Addr{netip.MustParseAddr("2001:db8::53")}},
		cloud.DesiredSubnet{ID: "b", CIDR: p("2001:db8:1::/64"), RAMode: cloud.ModeStateless})
	a, ok := advertisement(port, n)
	if !ok || !a.Managed || !a.Other || a.MTU != 1450 || len(a.DNS) != 0 || len(a.Prefixes) != 2 ||
		a.Prefixes[0] != (dhcp.AdvertisedPrefix{Prefix: p("2001:db8::/64")}) || a.Prefixes[1] != (dhcp.AdvertisedPrefix{Prefix: p("2001:db8:1::/64"), Autonomous: true}) {
		t.Errorf("%+v", a)
	}
}

const gatewayRuleset = `table inet imprint-router {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		tcp dport 9697 ct status dnat accept
		meta l4proto icmp accept
		meta l4proto ipv6-icmp accept
	}

	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname != "qg-QG" ct status ! dnat accept
		ip saddr 10.0.0.5 snat ip to 203.0.113.20 fully-random comment "floating"
		oifname "qg-QG" meta nfproto ipv4 snat ip to 203.0.113.10 fully-random comment "gateway"
		iifname != "qg-QG" ct status dnat meta nfproto ipv4 snat ip to 203.0.113.10 fully-random comment "gateway"
	}

	chain forward {
		type filter hook forward priority filter; policy accept;
		ct state established,related accept
		iifname "qg-QG" meta nfproto ipv4 ct status ! dnat counter drop comment "hidden address"
	}

	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		iifname "qr-*" ip daddr 169.254.169.254 tcp dport 80 counter redirect to :9697 comment "metadata"
		iifname "qr-*" ip6 daddr fe80::a9fe:a9fe tcp dport 80 counter redirect to :9697 comment "metadata"
		ip daddr 203.0.113.20 dnat ip to 10.0.0.5 comment "floating"
	}
}
`

// TestWholeRuleset compares all rules of a router with a gateway; an IPv6
// address cannot be translated and makes no rule.
func TestWholeRuleset(t *testing.T) {
	l := newLab(t, "whole")
	r := l.router(map[cloud.NetworkID]string{l.network(): "10.0.0.1/24"})
	r.SNAT = true
	r.Floating = []cloud.DesiredFloating{
		{Addr: netip.MustParseAddr("203.0.113.20"), Fixed: netip.MustParseAddr("10.0.0.5")},
		{Addr: netip.MustParseAddr("2001:db8::20"), Fixed: netip.MustParseAddr("2001:db8:1::5")},
	}
	p, _ := l.outside(&r)
	l.reconcile()
	ns, err := netns.Open(l.agent.namespace(r.ID))
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	out, err := inside(ns, "nft", "-s", "list", "ruleset")
	want := strings.ReplaceAll(gatewayRuleset, "qg-QG", fabric.PortLink(p))
	if diff := cmp.Diff(want, out); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestOneLegHasMetadata6: of all ports on a network one has the address.
func TestOneLegHasMetadata6(t *testing.T) {
	a := netip.MustParseAddr
	leg := func(owner, addr string) cloud.DesiredPort {
		return cloud.DesiredPort{NetworkID: "n", Owner: owner, Addrs: []cloud.PortAddr{{Prefix: netip.PrefixFrom(a(addr), 64)}}}
	}
	first, second := leg(cloud.OwnerRouterInterface, "2001:db8::1"), leg(cloud.OwnerRouterInterface, "2001:db8:1::1")
	other, gateway := leg(cloud.OwnerRouterInterface, "2001:db8::9"), leg(cloud.OwnerRouterGateway, "2001:db8::1")
	four := cloud.DesiredPort{NetworkID: "n", Owner: cloud.OwnerRouterInterface, Addrs: []cloud.PortAddr{{Prefix: netip.MustParsePrefix("10.0.0.1/24")}}}
	subnets := []cloud.DesiredSubnet{
		{CIDR: netip.MustParsePrefix("10.0.0.0/24"), Router: a("10.0.0.1")}, {CIDR: netip.MustParsePrefix("2001:db8:9::/64")},
		{CIDR: netip.MustParsePrefix("2001:db8::/64"), Router: a("2001:db8::1")}, {CIDR: netip.MustParsePrefix("2001:db8:1::/64"), Router: a("2001:db8:1::1")},
	}
	for _, c := range []struct {
		name           string
		leg            cloud.DesiredPort
		dhcp, switched bool
		want           bool
	}{
		{"gateway of the first", first, false, false, true}, {"gateway of the second", second, false, false, false},
		{"another router there", other, false, false, false}, {"external gateway", gateway, false, false, false}, {"IPv4", four, false, false, false},
		{"the DHCP port has it", first, true, true, false}, {"the DHCP port could, but has not", first, true, false, true}, {"no DHCP port", first, false, true, true},
	} {
		r := round{cfg: Config{DHCPMetadata: c.switched}, dhcp: map[cloud.NetworkID]bool{"n": c.dhcp},
			slice: cloud.Slice{Networks: map[cloud.NetworkID]cloud.DesiredNetwork{"n": {Subnets: subnets}}}}
		if got := r.hasMetadata6(c.leg); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
