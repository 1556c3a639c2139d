package metadataagent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"imprint/host/cloud"
)

// world is a topology as the kernel sees it: wires with stations on them, and
// namespaces with a routing table each. Nothing in it knows subnet ids.
type world struct {
	stations   map[cloud.NetworkID][]cloud.DesiredPort // who answers ARP and ND on a wire
	namespaces map[string][]connected                  // by "router/ID" or "network/ID"
}

// connected is a connected route: a prefix that is on a wire.
type connected struct {
	prefix netip.Prefix
	wire   cloud.NetworkID
}

// receiver is who gets a packet that the namespace sends to addr: the route
// with the longest prefix, then the one station on that wire that answers.
func (w world) receiver(namespace string, addr netip.Addr) (cloud.DesiredPort, bool) {
	best := connected{}
	for _, route := range w.namespaces[namespace] {
		if route.prefix.Contains(addr) && (!best.prefix.IsValid() || route.prefix.Bits() > best.prefix.Bits()) {
			best = route
		}
	}
	answering := func(p cloud.DesiredPort) bool {
		return slices.ContainsFunc(p.Addrs, func(a cloud.PortAddr) bool { return a.Prefix.Addr() == addr })
	}
	i := slices.IndexFunc(w.stations[best.wire], answering)
	if i < 0 {
		return cloud.DesiredPort{}, false
	}
	return w.stations[best.wire][i], true
}

// onWire is who has the link-local address of the hardware address.
func (w world) onWire(wire cloud.NetworkID, addr netip.Addr) (cloud.DesiredPort, bool) {
	i := slices.IndexFunc(w.stations[wire], func(p cloud.DesiredPort) bool { return linkLocal(p.MAC) == addr })
	if i < 0 {
		return cloud.DesiredPort{}, false
	}
	return w.stations[wire][i], true
}

// linkLocal is the address that a station gives itself. RFC 4862 5.3.
func linkLocal(mac cloud.MAC) netip.Addr {
	hw := mac.Hardware()
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: hw[0] ^ 2, 9: hw[1], 10: hw[2], 11: 0xff, 12: 0xfe, 13: hw[3], 14: hw[4], 15: hw[5]})
}

// cidrs are what tenants choose from, so that they choose the same.
func cidrs() []string {
	return []string{"10.0.0.0/29", "10.0.0.8/29", "10.0.0.16/29", "2001:db8::/125", "2001:db8::8/125"}
}

// drawWorld makes networks of several tenants, with subnets that overlap
// between networks but neither within one nor on one router, as Neutron allows.
func drawWorld(t *rapid.T) (slice, world) {
	var networks []cloud.NetworkID
	for n := range rapid.IntRange(1, 4).Draw(t, "networks") {
		networks = append(networks, cloud.NetworkID(fmt.Sprint("n", n)))
	}
	s, w := newSlice(networks...), world{map[cloud.NetworkID][]cloud.DesiredPort{}, map[string][]connected{}}
	legs := map[cloud.RouterID][]cloud.PortID{}
	for _, n := range networks {
		for _, cidr := range cidrs() {
			if !rapid.Bool().Draw(t, fmt.Sprint(n, " has ", cidr)) {
				continue
			}
			prefix := netip.MustParsePrefix(cidr)
			w.namespaces["network/"+string(n)] = append(w.namespaces["network/"+string(n)], connected{prefix, n})
			drawPorts(t, s, n, prefix)
			router := cloud.RouterID(fmt.Sprint("r", rapid.IntRange(0, 2).Draw(t, "router")))
			taken := slices.ContainsFunc(w.namespaces["router/"+string(router)], func(c connected) bool { return c.prefix == prefix })
			if taken || !rapid.Bool().Draw(t, "attached") {
				continue
			}
			w.namespaces["router/"+string(router)] = append(w.namespaces["router/"+string(router)], connected{prefix, n})
			id := fmt.Sprint("leg-", n, "-", cidr)
			s.port(id, n, leg, string(router), mac(len(s.Ports)), fmt.Sprint(n, cidr, "=", prefix.Addr().Next()))
			legs[router] = append(legs[router], cloud.PortID(id))
		}
	}
	for id, ports := range legs {
		s.router(id, ports...)
	}
	for _, p := range s.Ports {
		w.stations[p.NetworkID] = append(w.stations[p.NetworkID], p)
	}
	return s, w
}

// drawPorts puts ports on a subnet. Hardware addresses are unique on a network
// only.
func drawPorts(t *rapid.T, s slice, n cloud.NetworkID, prefix netip.Prefix) {
	addr := prefix.Addr().Next()
	for range rapid.IntRange(0, 3).Draw(t, "ports") {
		addr = addr.Next()
		id := fmt.Sprint("p-", n, "-", addr)
		owner := rapid.SampledFrom([]string{nova, nova, nova, dhcp, ""}).Draw(t, "owner of "+id)
		hw := mac(len(s.Ports))
		if rapid.Bool().Draw(t, "common hardware address") {
			hw = mac(128 + int(addr.AsSlice()[len(addr.AsSlice())-1]) + 32*addr.BitLen()/128)
		}
		s.port(id, n, owner, "device-"+id, hw, fmt.Sprint(n, prefix, "=", addr))
	}
}

func mac(n int) string { return fmt.Sprintf("fa:16:3e:00:%02x:%02x", n>>8, n&255) }

// TestAnswersForTheKernelsPath: whoever the agent answers for is the port that
// a packet from the namespace to the address reaches, and every instance that
// is reached is found.
func TestAnswersForTheKernelsPath(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, w := drawWorld(t)
		known := newTopology(s.Slice)
		for namespace := range w.namespaces {
			for _, cidr := range cidrs() {
				prefix := netip.MustParsePrefix(cidr)
				for addr := prefix.Addr(); prefix.Contains(addr); addr = addr.Next() {
					port, reached := w.receiver(namespace, addr)
					got, err := find(context.Background(), known, sender(namespace, addr))
					if instance := reached && port.Compute(); instance != (err == nil) || instance && got.ID != port.ID {
						t.Fatalf("%s, %v: %q, %v; the kernel reaches %q", namespace, addr, got.ID, err, port.ID)
					}
				}
			}
		}
	})
}

// TestLinkLocalNeverMeansAnother: by its link-local address an instance is
// found as itself, or, where two networks of a router have the same hardware
// address, not at all.
func TestLinkLocalNeverMeansAnother(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, w := drawWorld(t)
		known := newTopology(s.Slice)
		for namespace, routes := range w.namespaces {
			for _, p := range s.Ports {
				wires := map[cloud.NetworkID]bool{}
				clash := 0
				for _, route := range routes {
					if _, there := w.onWire(route.wire, linkLocal(p.MAC)); there && !wires[route.wire] {
						clash++
					}
					wires[route.wire] = true
				}
				if !wires[p.NetworkID] {
					continue // it has no interface there
				}
				got, err := find(context.Background(), known, sender(namespace, linkLocal(p.MAC)))
				switch instance := p.Compute() && clash == 1; {
				case instance && (err != nil || got.ID != p.ID):
					t.Fatalf("%s: %q, %v; want %s", namespace, got.ID, err, p.ID)
				case !instance && !errors.Is(err, cloud.ErrNotFound):
					t.Fatalf("%s: %s is found as %q", namespace, p.ID, got.ID)
				}
			}
		}
	})
}

func sender(namespace string, addr netip.Addr) cloud.Sender {
	if id, router := strings.CutPrefix(namespace, "router/"); router {
		return cloud.Sender{Router: cloud.RouterID(id), Addr: addr}
	}
	id, _ := strings.CutPrefix(namespace, "network/")
	return cloud.Sender{Network: cloud.NetworkID(id), Addr: addr}
}
