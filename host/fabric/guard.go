package fabric

import (
	"net/netip"
	"slices"
	"strings"

	"imprint/base/netdev"
	"imprint/base/nft"
	"imprint/host/cloud"
)

// Everything that comes in over a tap passes the chain "in": trusted ports go
// on, an instance's port goes through a chain named like its tap, the rest is
// dropped. neutron: agent/linux/iptables_firewall.py and
// agent/linux/arp_protect.py, with one table instead of three tools.
const (
	chainIn        = "in"
	targetPrefix   = "nd-" // of the chain for what is said about a neighbor
	fragmentPrefix = "fr-" // of the chain for fragments of IPv6
)

// ofTap returns the tap that a chain is about, and whether it is the tap's first.
func ofTap(chain string) (tap string, first bool) {
	for _, prefix := range []string{targetPrefix, fragmentPrefix} {
		if tap, is := strings.CutPrefix(chain, prefix); is {
			return tap, false
		}
	}
	return chain, true
}

// Table is the name of the nftables table (family bridge) in the fabric's
// namespace.
func (f *Fabric) Table() string { return f.maker + "-ports" }

// guard installs the rules of a port before anything can pass it.
func (s *session) guard(p cloud.DesiredPort, tap string) error {
	t := s.table()
	if ClassOf(p) == Instance {
		t = without(t, tap)
		t.Chains = append(t.Chains, portChain(p, tap), targetChain(p, tap), fragmentChain(tap))
	}
	return s.apply(t)
}

// unguard removes the rules of a port.
func (s *session) unguard(tap string) error {
	t := s.table()
	if _, guarded := t.Chain(tap); !guarded {
		return nil
	}
	return s.apply(without(t, tap))
}

// table reads the table; a missing or a broken one counts as empty, and each
// agent brings its ports back.
func (s *session) table() nft.Table {
	t, err := nft.Read(s.ns, nft.Bridge, s.Table())
	if err != nil {
		s.log.Debug("no rules for ports yet", "error", err)
		return nft.Table{Family: nft.Bridge, Name: s.Table()}
	}
	return t
}

// apply derives the chain "in" from the others.
func (s *session) apply(t nft.Table) error {
	in := nft.Chain{Name: chainIn, Hook: nft.Hook{Type: nft.Filter, Point: nft.Prerouting, Priority: -300, Drop: true}}
	in.Rules = append(in.Rules, nft.NewRule("", nft.InGroup(groupTrusted), nft.Accept()))
	chains := slices.DeleteFunc(t.Chains, func(c nft.Chain) bool { return c.Name == chainIn })
	slices.SortFunc(chains, func(a, b nft.Chain) int { return strings.Compare(a.Name, b.Name) })
	for _, c := range chains {
		if _, first := ofTap(c.Name); first {
			in.Rules = append(in.Rules, nft.NewRule("", nft.InName(c.Name), nft.Jump(c.Name)))
		}
	}
	t.Chains = append(chains, in)
	_, err := nft.Apply(s.ns, t)
	return err
}

func without(t nft.Table, tap string) nft.Table {
	t.Chains = slices.DeleteFunc(slices.Clone(t.Chains), func(c nft.Chain) bool {
		of, _ := ofTap(c.Name)
		return of == tap
	})
	return t
}

// addresses are the port's own: IPv4, and IPv6 with the link-local address
// that its MAC makes.
func addresses(p cloud.DesiredPort) (v4, v6 []netip.Addr) {
	v6 = []netip.Addr{netdev.LinkLocal(p.MAC.Hardware())}
	for _, a := range p.Addrs {
		if addr := a.Prefix.Addr().Unmap(); addr.Is4() {
			v4 = append(v4, addr)
		} else if !slices.Contains(v6, addr) {
			v6 = append(v6, addr)
		}
	}
	return v4, v6
}

// portChain says what an instance may send.
func portChain(p cloud.DesiredPort, tap string) nft.Chain {
	v4, v6 := addresses(p)
	mac := p.MAC.Hardware()
	ip4, ip6, arp := nft.EtherType(nft.EtherIPv4), nft.EtherType(nft.EtherIPv6), nft.EtherType(nft.EtherARP)
	rules := []nft.Rule{
		nft.NewRule("foreign MAC", nft.EtherSourceNot(mac), nft.Counter(), nft.Drop()),
		nft.NewRule("DHCP server", ip4, nft.UDPSource(67), nft.Counter(), nft.Drop()),
		nft.NewRule("DHCP client", ip4, nft.Source(netip.IPv4Unspecified()), nft.UDPSource(68), nft.UDPDest(67), nft.DHCPClient(mac), nft.Accept()),
		nft.NewRule("DHCPv6 server", ip6, nft.UDPSource(547), nft.Counter(), nft.Drop()),
		nft.NewRule("", ip6, nft.Fragmented6(), nft.Jump(fragmentPrefix+tap)),
		nft.NewRule("router advertisement", ip6, nft.ICMPv6Type(nft.RouterAdvertisement), nft.Counter(), nft.Drop()),
		nft.NewRule("redirect", ip6, nft.ICMPv6Type(nft.NeighborRedirect), nft.Counter(), nft.Drop()),
		nft.NewRule("", ip6, nft.ICMPv6Type(nft.NeighborAdvertisement), nft.Jump(targetPrefix+tap)),
		// Before it has an address: detection of duplicates of its own ones (of
		// another's, it would keep that one from its address), a search for
		// routers, joining groups.
		nft.NewRule("", ip6, nft.Source(netip.IPv6Unspecified()), nft.ICMPv6Type(nft.NeighborSolicitation), nft.Jump(targetPrefix+tap)),
		nft.NewRule("", ip6, nft.Source(netip.IPv6Unspecified()), nft.ICMPv6Type(nft.NeighborSolicitation), nft.Accept()),
		nft.NewRule("", ip6, nft.Source(netip.IPv6Unspecified()), nft.ICMPv6Type(nft.RouterSolicitation), nft.Accept()),
		nft.NewRule("", ip6, nft.Source(netip.IPv6Unspecified()), nft.ICMPv6Type(nft.ListenerReport), nft.Accept()),
		nft.NewRule("", ip6, nft.Source(netip.IPv6Unspecified()), nft.ICMPv6Type(nft.ListenerReport2), nft.Accept()),
		// An address probe. RFC 5227 section 2.1.1
		nft.NewRule("", arp, nft.ARPSender(mac, netip.IPv4Unspecified()), nft.Accept()),
	}
	for _, a := range v4 {
		rules = append(rules, nft.NewRule("DHCP client", ip4, nft.Source(a), nft.UDPSource(68), nft.UDPDest(67), nft.DHCPClient(mac), nft.Accept()))
	}
	// In another's name it would spend what that one may ask of the server.
	rules = append(rules, nft.NewRule("foreign DHCP client", ip4, nft.UDPDest(67), nft.Counter(), nft.Drop()))
	for _, a := range v4 {
		rules = append(rules, nft.NewRule("", arp, nft.ARPSender(mac, a), nft.Accept()), nft.NewRule("", ip4, nft.Source(a), nft.Accept()))
	}
	for _, a := range v6 {
		rules = append(rules, nft.NewRule("", ip6, nft.Source(a), nft.Accept()))
	}
	rules = append(rules, nft.NewRule("foreign address", nft.Counter(), nft.Drop()))
	return nft.Chain{Name: tap, Rules: rules}
}

// fragmentChain lets through fragments of which the first shows what it is. In
// others anything may hide from the rules that come after, and of neighbor
// discovery no fragment is to be believed. RFC 6980, RFC 7113
func fragmentChain(tap string) nft.Chain {
	return nft.Chain{Name: fragmentPrefix + tap, Rules: []nft.Rule{
		nft.NewRule("", nft.TCP(), nft.Return()),
		nft.NewRule("", nft.UDP(), nft.Return()),
		nft.NewRule("", nft.ICMPv6(), nft.LaterFragment6(), nft.Return()),
		nft.NewRule("", nft.ICMPv6Type(nft.EchoRequest), nft.Return()),
		nft.NewRule("", nft.ICMPv6Type(nft.EchoReply), nft.Return()),
		nft.NewRule("fragment", nft.Counter(), nft.Drop()),
	}}
}

// targetChain lets through only what is said about the port's own addresses.
func targetChain(p cloud.DesiredPort, tap string) nft.Chain {
	c := nft.Chain{Name: targetPrefix + tap}
	_, v6 := addresses(p)
	for _, a := range v6 {
		c.Rules = append(c.Rules, nft.NewRule("", nft.NeighborTarget(a), nft.Return()))
	}
	c.Rules = append(c.Rules, nft.NewRule("foreign neighbor", nft.Counter(), nft.Drop()))
	return c
}
