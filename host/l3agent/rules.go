package l3agent

import (
	"net/netip"

	"imprint/base/nft"
	"imprint/host/cloud"
	"imprint/host/fabric"
)

// Table is the name of the nftables table (family inet) in a router's
// namespace, and MetadataRule the comment of the rules whose counters tell how
// many connections to the metadata addresses were redirected.
const (
	Table        = "imprint-router"
	MetadataRule = "metadata"
)

// The metadata addresses. neutron_lib: constants.METADATA_V4_IP, METADATA_V6_IP
var (
	metadata4 = netip.AddrFrom4([4]byte{169, 254, 169, 254})
	metadata6 = netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 12: 0xa9, 13: 0xfe, 14: 0xa9, 15: 0xfe})
)

// gateway is a router's leg on an external network, as its rules need it.
type gateway struct {
	link     string
	addr     netip.Addr // that it hides others behind; the zero Addr: it does not
	floating []cloud.DesiredFloating
}

// gatewayOf returns the router's gateway, nil for none.
func gatewayOf(r cloud.DesiredRouter, ports []cloud.DesiredPort) *gateway {
	for _, p := range ports {
		if p.Owner != cloud.OwnerRouterGateway {
			continue
		}
		g := &gateway{link: fabric.PortLink(p)}
		for _, a := range p.Addrs {
			if addr := a.Prefix.Addr(); r.SNAT && addr.Is4() && !g.addr.IsValid() {
				g.addr = addr
			}
		}
		for _, f := range r.Floating {
			if f.Addr.Is4() && f.Fixed.Is4() { // nothing else can be translated
				g.floating = append(g.floating, f)
			}
		}
		return g
	}
	return nil
}

// rules of a router: it redirects metadata, translates at its gateway, and is
// itself closed to everything but metadata and ICMP. neutron:
// agent/metadata/driver.py metadata_nat_rules, metadata_filter_rules. A
// connection counts as redirected by its conntrack status instead of a packet
// mark.
func rules(port uint16, g *gateway) nft.Table {
	pre := []nft.Rule{
		nft.NewRule(MetadataRule, nft.InName("qr-*"), nft.Protocol4(), nft.Dest(metadata4), nft.TCPDest(80), nft.Counter(), nft.Redirect(port)),
		nft.NewRule(MetadataRule, nft.InName("qr-*"), nft.Protocol6(), nft.Dest(metadata6), nft.TCPDest(80), nft.Counter(), nft.Redirect(port)),
	}
	chains := []nft.Chain{{
		Name: "input",
		Hook: nft.Hook{Type: nft.Filter, Point: nft.Input, Drop: true},
		Rules: []nft.Rule{
			nft.NewRule("", nft.Established(), nft.Accept()),
			nft.NewRule("", nft.TCPDest(port), nft.Redirected(), nft.Accept()),
			nft.NewRule("", nft.ICMP(), nft.Accept()),
			nft.NewRule("", nft.ICMPv6(), nft.Accept()),
		},
	}}
	if g != nil {
		for _, f := range g.floating {
			pre = append(pre, nft.NewRule("floating", nft.Protocol4(), nft.Dest(f.Addr), nft.DestNAT(f.Fixed)))
		}
		chains = append(chains, g.postrouting(), g.forward())
	}
	return nft.Table{Family: nft.Inet, Name: Table, Chains: append(chains, nft.Chain{
		Name: "prerouting", Hook: nft.Hook{Type: nft.NAT, Point: nft.Prerouting, Priority: -100}, Rules: pre,
	})}
}

// postrouting gives what leaves by the gateway its floating address, or the
// gateway's; and the same to what goes to a floating address from inside, so
// that the answer comes back this way. neutron: agent/l3/router_info.py
// floating_forward_rules, external_gateway_nat_snat_rules
func (g *gateway) postrouting() nft.Chain {
	list := []nft.Rule{nft.NewRule("", nft.OutNameNot(g.link), nft.NotRedirected(), nft.Accept())}
	for _, f := range g.floating {
		list = append(list, nft.NewRule("floating", nft.Protocol4(), nft.Source(f.Fixed), nft.SourceNAT(f.Addr)))
	}
	if g.addr.IsValid() {
		list = append(list,
			nft.NewRule("gateway", nft.OutName(g.link), nft.Protocol4(), nft.SourceNAT(g.addr)),
			nft.NewRule("gateway", nft.InNameNot(g.link), nft.Redirected(), nft.Protocol4(), nft.SourceNAT(g.addr)))
	}
	return nft.Chain{Name: "postrouting", Hook: nft.Hook{Type: nft.NAT, Point: nft.Postrouting, Priority: 100}, Rules: list}
}

// forward keeps out what comes from outside to an address that is hidden: in
// Neutron a neighbor on the external network that knows a project's addresses
// can reach them past the translation.
func (g *gateway) forward() nft.Chain {
	c := nft.Chain{Name: "forward", Hook: nft.Hook{Type: nft.Filter, Point: nft.Forward}}
	if g.addr.IsValid() {
		c.Rules = []nft.Rule{
			nft.NewRule("", nft.Established(), nft.Accept()),
			nft.NewRule("hidden address", nft.InName(g.link), nft.Protocol4(), nft.NotRedirected(), nft.Counter(), nft.Drop()),
		}
	}
	return c
}
