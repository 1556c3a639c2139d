package lab

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"imprint/base/netns"
	"imprint/host/dhcpagent"
	"imprint/host/l3agent"
)

// TestEveryWayToMetadata boots an instance on networks of every kind, with
// stock clients, and has it read its own document over each family that it has.
func TestEveryWayToMetadata(t *testing.T) {
	for _, forced := range []bool{false, true} {
		t.Run(fmt.Sprintf("forced=%v", forced), func(t *testing.T) {
			kinds := []string{"v4-routed", "v4-isolated", "v4-slaac-routed", "slaac-routed", "slaac-isolated", "stateful-routed"}
			l := realise(t, world(kinds...), dhcpagent.Config{Domain: "openstacklocal", IsolatedMetadata: true, ForceMetadata: forced}, l3agent.Config{DHCPMetadata: true})
			for _, kind := range kinds {
				t.Run(kind, func(t *testing.T) { (&topology{T: t, model: l.model, f: l.f}).boots(kind) })
			}
		})
	}
}

// boots configures an instance as its network says and has it read metadata.
func (l *topology) boots(kind string) {
	id := kind + "-0"
	vm := l.vm(id)
	if strings.Contains(kind, "v4") {
		l.lease(vm)
		l.isWho(vm, url4, id)
	}
	if strings.Contains(kind, "slaac") && strings.Contains(kind, "routed") {
		l.eventually(vm, "ip -6 addr show eth0", "scope global dynamic")
	}
	if strings.Contains(kind, "stateful") {
		l.lease6(vm)
		l.eventually(vm, "ip -6 addr show eth0", "2001:db8:0:5::a/")
	}
	if kind != "v4-routed" { // nobody there has the address, unless it is forced
		l.isWho(vm, url6, id)
	}
}

// TestRouterAloneHasMetadata6: no DHCP port has the address; the router does.
func TestRouterAloneHasMetadata6(t *testing.T) {
	l := realise(t, world("slaac-routed"), dhcpagent.Config{}, l3agent.Config{})
	l.boots("slaac-routed")
}

// TestNamesOfInstances: the DHCP port answers for its network, over both
// families, and not for another's.
func TestNamesOfInstances(t *testing.T) {
	l := realise(t, world("v4-slaac-routed", "v4-isolated"), dhcpagent.Config{Domain: "openstacklocal"}, l3agent.Config{})
	vm := l.vm("v4-slaac-routed-0")
	l.lease(vm)
	l.eventually(vm, "ip -6 addr show eth0", "scope global dynamic")
	for command, want := range map[string]string{
		"@10.0.0.2 host-10-0-0-11.openstacklocal A":                             "10.0.0.11",
		"@10.0.0.2 +tcp host-10-0-0-11 A":                                       "10.0.0.11",
		"@10.0.0.2 -x 10.0.0.11":                                                "host-10-0-0-11.openstacklocal.",
		"@2001:db8::f816:3eff:fe00:402 host-10-0-0-11.openstacklocal A":         "10.0.0.11",
		"@fe80::f816:3eff:fe00:402%eth0 host-10-0-0-10.openstacklocal A":        "10.0.0.10",
		"@10.0.0.2 host-2001-db8--f816-3eff-fe00-110a.openstacklocal AAAA +tcp": "2001:db8::f816:3eff:fe00:110a",
		"@10.0.0.2 host-10-1-0-10.openstacklocal A":                             "",
	} {
		out, err := run(vm, "kdig +short +time=5 "+command)
		if got := strings.TrimSpace(out); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", command, got, err, want)
		}
	}
}

// TestNobodyReadsAnothersMetadata: a second instance takes the first's
// addresses, MAC and link-local address, in every combination.
func TestNobodyReadsAnothersMetadata(t *testing.T) {
	for _, way := range []string{"v4-slaac-routed", "v4-isolated"} {
		t.Run(way, func(t *testing.T) {
			l := realise(t, world(way), dhcpagent.Config{IsolatedMetadata: true}, l3agent.Config{DHCPMetadata: way == "v4-isolated"})
			first, thief := l.vm(way+"-0"), l.vm(way+"-1")
			for _, vm := range []*netns.NS{first, thief} {
				l.lease(vm)
			}
			l.isWho(first, url4, way+"-0")
			l.isWho(first, url6, way+"-0")
			l.isWho(thief, url4, way+"-1")
			l.isWho(thief, url6, way+"-1")
			mac := hardware(t, first)
			local := strings.Fields(l.inside(first, "ip -o -6 addr show eth0 scope link"))[3]
			own := hardware(t, thief)
			for name, commands := range map[string][]string{
				"address":                  {"ip addr flush dev eth0", "ip addr add 10.0.0.10/24 dev eth0"},
				"address and MAC":          {"ip link set eth0 down", "ip link set eth0 address " + mac, "ip addr add 10.0.0.10/24 dev eth0"},
				"MAC":                      {"ip link set eth0 down", "ip link set eth0 address " + mac},
				"link-local":               {"ip -6 addr flush dev eth0", "ip -6 addr add " + local + " dev eth0 nodad"},
				"link-local besides its":   {"ip -6 addr add " + local + " dev eth0 nodad preferred_lft 0"},
				"first's address as /32":   {"ip addr add 10.0.0.10/32 dev eth0"},
				"metadata's own addresses": {"ip addr add 169.254.169.254/32 dev eth0", "ip -6 addr add fe80::a9fe:a9fe/64 dev eth0 nodad"},
			} {
				for _, c := range append(commands, "ip link set eth0 up") {
					run(thief, c)
				}
				run(thief, "ip route replace default via 10.0.0.1 dev eth0 onlink")
				run(thief, "ip route replace 169.254.169.254/32 via 10.0.0.2 dev eth0 onlink")
				for _, url := range []string{url4, url6} {
					for _, from := range []string{"", " --interface 10.0.0.10", " --interface " + strings.TrimSuffix(local, "/64")} {
						out, _ := run(thief, "curl -sSg --max-time 0.4 "+url+"/openstack/latest/meta_data.json"+from)
						if strings.Contains(out, way+"-0") {
							t.Errorf("%s%s: the thief reads %s", name, from, out)
						}
					}
				}
				// The first is not disturbed.
				l.isWho(first, url4, way+"-0")
				l.isWho(first, url6, way+"-0")
				for _, c := range []string{"ip addr flush dev eth0", "ip link set eth0 down", "ip link set eth0 address " + own, "ip link set eth0 up"} {
					run(thief, c)
				}
			}
		})
	}
}

func hardware(t *testing.T, ns *netns.NS) (mac string) {
	t.Helper()
	err := ns.Do(func() error {
		ifi, err := net.InterfaceByName("eth0")
		if err == nil {
			mac = ifi.HardwareAddr.String()
		}
		return err
	})
	must(t, err)
	return mac
}

// TestNoHostPortIsReached: a server on all of the host's addresses is reached
// from no instance, over any family, with any route.
func TestNoHostPortIsReached(t *testing.T) {
	l := realise(t, world("v4-slaac-routed"), dhcpagent.Config{IsolatedMetadata: true}, l3agent.Config{DHCPMetadata: true})
	vm := l.vm("v4-slaac-routed-0")
	l.lease(vm)
	l.isWho(vm, url4, "v4-slaac-routed-0")
	server, err := net.Listen("tcp", ":0")
	must(t, err)
	defer server.Close()
	reached := make(chan string, 100)
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			reached <- c.RemoteAddr().String()
			c.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(server.Addr().String())
	hosts := []string{"127.0.0.1", "10.0.0.1", "10.0.0.2", "169.254.169.254", "[::1]", "[fe80::1%25eth0]", "[fe80::a9fe:a9fe%25eth0]", "[ff02::1%25eth0]", "[2001:db8::1]", "[::ffff:127.0.0.1]"}
	addrs, err := net.InterfaceAddrs()
	must(t, err)
	for _, a := range addrs {
		if p, ok := a.(*net.IPNet); ok && !p.IP.IsLoopback() {
			h := p.IP.String()
			switch {
			case p.IP.To4() == nil && p.IP.IsLinkLocalUnicast():
				h = "[" + h + "%25eth0]"
			case p.IP.To4() == nil:
				h = "[" + h + "]"
			}
			hosts = append(hosts, h)
		}
	}
	for _, h := range hosts {
		if out, err := run(vm, "curl -sSg --max-time 0.5 http://"+h+":"+port+"/"); err == nil {
			t.Errorf("%s answers: %s", h, out)
		}
	}
	select {
	case from := <-reached:
		t.Errorf("the host's port was reached from %s", from)
	default:
	}
	// What the router and the DHCP port listen on, but for what they serve.
	for _, h := range []string{"10.0.0.1:53", "10.0.0.1:9697", "10.0.0.1:22", "[2001:db8::1]:9697", "10.0.0.2:22", "10.0.0.2:9697", "10.0.0.2:80"} {
		if out, err := run(vm, "curl -sSg --max-time 0.5 http://"+h+"/"); err == nil {
			t.Errorf("%s answers: %s", h, out)
		}
	}
}
