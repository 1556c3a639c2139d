package dhcpagent

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"imprint/base/daemon"
	"imprint/base/dhcp"
	"imprint/base/netdev"
	"imprint/host/cloud"
	"imprint/host/fabric"
)

// eventually repeats a command until it prints want.
func (l *lab) eventually(command func() (string, error), want string) {
	l.Helper()
	var out string
	for began := time.Now(); time.Since(began) < 15*time.Second; {
		out, _ = command()
		if strings.Contains(out, want) {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	l.Errorf("never prints %q:\n%s", want, out)
}

// TestUnprivilegedWorker has the worker, a process of nobody's, do everything:
// names, DHCPv6 and advertisements.
func TestUnprivilegedWorker(t *testing.T) {
	l := newLab(t, "worker", Config{Domain: "openstacklocal"})
	n := l.network()
	six := cloud.DesiredSubnet{ID: newID[cloud.SubnetID](), CIDR: netip.MustParsePrefix("2001:db8::/64"), DHCP: true, AddrMode: cloud.ModeStateful, RAMode: cloud.ModeStateful}
	n.Subnets = append(n.Subnets, six)
	p := l.slice.Ports[n.DHCPPort]
	p.Addrs = append(p.Addrs, cloud.PortAddr{SubnetID: six.ID, Prefix: netip.MustParsePrefix("2001:db8::2/64")})
	l.slice.Ports[p.ID], l.slice.Networks[n.ID] = p, n
	vm := l.instance(n.ID, "17.17.17.5/24")
	n = l.slice.Networks[n.ID]
	n.Hosts[0].Addrs = append(n.Hosts[0].Addrs, netip.MustParseAddr("2001:db8::5"))
	n.Hosts[0].Options = []cloud.DHCPOption{{Name: "domain-name", Value: "of.the.port", IPVersion: 4}, {Name: "mtu", Value: "x\n", IPVersion: 4}}
	// A port that cannot be served stops no other.
	n.Hosts = append(n.Hosts, cloud.Host{MAC: "nonsense", Addrs: []netip.Addr{netip.MustParseAddr("17.17.17.9")}})
	l.slice.Networks[n.ID] = n
	l.reconcile()
	if got := l.lease(vm); got["ip"] != "17.17.17.5" || got["domain"] != "of.the.port" {
		t.Errorf("lease %v", got)
	}
	for _, args := range [][]string{{"@17.17.17.2"}, {"@17.17.17.2", "+tcp"}} {
		out, err := inside(vm, append([]string{"kdig", "+short", "+time=5", "host-17-17-17-5.openstacklocal"}, args...)...)
		if strings.TrimSpace(out) != "17.17.17.5" || err != nil {
			t.Errorf("%v: %q, %v", args, out, err)
		}
	}
	script := t.TempDir() + "/script"
	l.must(os.WriteFile(script, []byte("#!/bin/sh\n[ \"$reason\" = BOUND6 ] && ip -6 addr add $new_ip6_address/$new_ip6_prefixlen dev eth0 nodad\nexit 0\n"), 0o755))
	go inside(vm, "timeout", "15", "dhclient", "-6", "-1", "-d", "-sf", script, "-lf", script+".leases", "-pf", script+".pid", "eth0")
	l.eventually(func() (string, error) { return inside(vm, "ip", "-6", "addr", "show", "eth0") }, "2001:db8::5/")
}

// TestWorkerAdvertises hands a router's leg to the worker.
func TestWorkerAdvertises(t *testing.T) {
	l := newLab(t, "adv", Config{})
	n := l.network()
	l.slice.Networks[n.ID] = n
	vm := l.instance(n.ID, "17.17.17.5/24")
	leg := l.port(n.ID, cloud.OwnerRouterInterface, n.Subnets[0].ID, "2001:db8::1/64")
	ns, err := l.f.EnsureNamespace(l.f.Name("router"))
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	l.must(vm.SetSysctl("ipv6/conf/eth0/accept_ra", "1"))
	l.must(ns.SetSysctl("ipv6/conf/all/forwarding", "1"))
	l.must(ns.SetSysctl("ipv6/conf/default/accept_dad", "0"))
	var link netdev.Link
	link, err = l.f.Leg(leg, 1450, ns, []netip.Prefix{leg.Addrs[0].Prefix})
	if err != nil {
		t.Fatal(err)
	}
	mac, err := dhcp.ParseMAC(string(leg.MAC))
	l.must(err)
	data, err := json.Marshal(dhcp.Advertisement{MAC: mac, MTU: 1400, Prefixes: []dhcp.AdvertisedPrefix{{Prefix: netip.MustParsePrefix("2001:db8::/64"), Autonomous: true}}})
	l.must(err)
	var conn *net.IPConn
	l.must(ns.Do(func() (err error) { conn, err = dhcp.OpenAdvertiser(fabric.PortLink(leg)); return err }))
	files, err := daemon.Files(conn)
	l.must(err)
	key := dhcp.AdvertisementKey + string(leg.ID)
	l.must(l.agent.workers.DHCP.Put(t.Context(), daemon.Item{Key: key, Sockets: fmt.Sprint(link.Index), Data: data}, files...))
	l.must(files[0].Close())
	l.eventually(func() (string, error) { return inside(vm, "ip", "-6", "route") }, "default via fe80::")
	l.must(l.agent.workers.DHCP.Remove(t.Context(), key))
	if items, err := l.agent.workers.DHCP.List(t.Context()); len(items) != 0 || err != nil {
		t.Errorf("held: %v, %v", items, err)
	}
}

// TestLargeNetwork: what is told of ten thousand ports fits into a handover.
func TestLargeNetwork(t *testing.T) {
	n := cloud.DesiredNetwork{Subnets: []cloud.DesiredSubnet{
		{ID: "four", CIDR: netip.MustParsePrefix("10.0.0.0/8"), DHCP: true}, {ID: "six", CIDR: netip.MustParsePrefix("2001:db8::/64"), DHCP: true},
	}}
	for i := range 10_000 {
		hw := cloud.MAC(fmt.Sprintf("fa:16:3e:00:%02x:%02x", i>>8, i&255))
		n.Hosts = append(n.Hosts, cloud.Host{MAC: hw, Addrs: []netip.Addr{
			netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), netip.MustParseAddr(fmt.Sprintf("2001:db8::f816:3eff:fe00:%x", i))}})
	}
	port := cloud.DesiredPort{ID: newID[cloud.PortID](), Addrs: []cloud.PortAddr{
		{SubnetID: "four", Prefix: netip.MustParsePrefix("10.0.0.2/8")}, {SubnetID: "six", Prefix: netip.MustParsePrefix("2001:db8::2/64")}}}
	data, err := json.Marshal(Config{}.served(n, port))
	if err != nil || len(data) > daemon.MaxData/2 {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	var told served
	if err := json.Unmarshal(data, &told); err != nil {
		t.Fatal(err)
	}
	a, notes, err := told.answers()
	if err != nil || len(notes) != 0 || len(a.dhcp4.Hosts) != 10_000 || len(a.dhcp6.Hosts) != 10_000 {
		t.Errorf("%d and %d hosts, %v, %v", len(a.dhcp4.Hosts), len(a.dhcp6.Hosts), notes, err)
	}
}
