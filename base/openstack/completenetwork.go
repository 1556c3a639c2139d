package openstack

import (
	"fmt"
	"net/netip"
)

// completeNetwork tells all that is known of the ports, in the words of Nova's
// schema of the document (doc/api_schemas/network_data.json): every port, also
// one without an address, with its MTU; a bond as its NICs and the bond; a
// sub-port as a VLAN; every address of every subnet. Of an address family the
// first gateway among the ports is told and no other, because a system has one
// default route.
//
// A subnet with DHCP is told as Nova tells it, once and without an address,
// because a lease brings one address: the port's others on IPv4 subnets are
// told as static ones.
func completeNetwork(ports []Port) *NetworkData {
	c := complete{links: map[string]string{}, out: &NetworkData{Links: []Link{}, Networks: []Network{}, Services: []Service{}}}
	for _, p := range ports {
		c.links[p.ID] = p.LinkID
	}
	for _, p := range ports {
		c.link(p)
		for i := range p.Subnets {
			c.subnet(p, &p.Subnets[i])
		}
	}
	return c.out
}

// complete gathers the document.
type complete struct {
	out    *NetworkData
	links  map[string]string // port → link
	leased map[string]bool   // port and family that get an address by DHCP
	routed [2]bool           // families that have a default route
}

func (c *complete) link(p Port) {
	l := Link{ID: p.LinkID, VIFID: p.ID, Type: p.LinkType, MAC: p.MAC}
	if p.MTU > 0 {
		l.MTU = &p.MTU
	}
	switch {
	case p.VLAN != nil:
		l.Type, l.MAC = "vlan", ""
		l.VLANLink, l.VLANID, l.VLANMAC = c.links[p.VLAN.Parent], &p.VLAN.ID, p.MAC
	case p.Bond != nil:
		l.Type = "bond"
		l.BondMode, l.BondHashPolicy = p.Bond.Mode, p.Bond.HashPolicy
		if p.Bond.MIIMon > 0 {
			l.BondMIIMon = &p.Bond.MIIMon
		}
		for i, mac := range p.Bond.MACs {
			member := Link{ID: fmt.Sprintf("%s-%d", p.LinkID, i), Type: "phy", MTU: l.MTU, MAC: mac}
			c.out.Links = append(c.out.Links, member)
			l.BondLinks = append(l.BondLinks, member.ID)
		}
	}
	c.out.Links = append(c.out.Links, l)
}

func (c *complete) subnet(p Port, s *Subnet) {
	family := 0
	if s.CIDR.Addr().Is4() {
		family = 1
	}
	for _, a := range s.Addrs {
		one := *s
		one.Addrs = []netip.Addr{a}
		if s.DHCP && s.AddressMode == "" {
			one.DHCP = c.lease(p.ID, family)
			if !one.DHCP && family == 0 {
				continue // the lease of an IPv6 port has all of its addresses
			}
		}
		if static := !one.DHCP || s.AddressMode != ""; static {
			if c.routed[family] {
				one.Gateway = netip.Addr{}
			}
			c.routed[family] = c.routed[family] || one.Gateway.IsValid()
		}
		c.out.add(p, &one)
	}
}

// lease reports whether the port has no lease of that family yet, and gives it
// one.
func (c *complete) lease(port string, family int) bool {
	key := fmt.Sprint(port, family)
	if c.leased[key] {
		return false
	}
	if c.leased == nil {
		c.leased = map[string]bool{}
	}
	c.leased[key] = true
	c.routed[family] = true
	return true
}
