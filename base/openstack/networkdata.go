package openstack

import (
	"fmt"
	"net/netip"
	"slices"
)

// NetworkData is network_data.json. The order of the fields is the document's.
// nova: virt/netutils.py, get_network_metadata; doc/api_schemas/network_data.json.
type NetworkData struct {
	Links    []Link    `json:"links"`
	Networks []Network `json:"networks"`
	Services []Service `json:"services"`
}

// Link is a NIC, a bond or a VLAN.
type Link struct {
	ID    string `json:"id"`
	VIFID string `json:"vif_id,omitempty"`
	Type  string `json:"type"` // bridge, ovs, tap, phy, bond, vlan …
	// MTU is null (nil) where DHCP delivers it.
	MTU *int   `json:"mtu"`
	MAC string `json:"ethernet_mac_address,omitempty"`
	// Of a bond.
	BondLinks      []string `json:"bond_links,omitempty"`
	BondMode       string   `json:"bond_mode,omitempty"`
	BondMIIMon     *int     `json:"bond_miimon,omitempty"`
	BondHashPolicy string   `json:"bond_xmit_hash_policy,omitempty"`
	// Of a VLAN.
	VLANLink string `json:"vlan_link,omitempty"`
	VLANID   *int   `json:"vlan_id,omitempty"`
	VLANMAC  string `json:"vlan_mac_address,omitempty"`
}

// Network is a configuration of one address family on a link.
type Network struct {
	ID string `json:"id"`
	// Type is ipv4, ipv4_dhcp, ipv6, ipv6_dhcp, ipv6_slaac,
	// ipv6_dhcpv6-stateful or ipv6_dhcpv6-stateless.
	Type      string `json:"type"`
	Link      string `json:"link"`
	IPAddress string `json:"ip_address,omitempty"`
	Netmask   string `json:"netmask,omitempty"`
	// Routes and Services are absent when nil, not when empty.
	Routes    []NetworkRoute `json:"routes,omitzero"`
	NetworkID string         `json:"network_id"`
	Services  []Service      `json:"services,omitzero"`
}

// NetworkRoute is a route of a [Network].
type NetworkRoute struct {
	Network string `json:"network"`
	Netmask string `json:"netmask"`
	Gateway string `json:"gateway"`
}

// Service is a service that the instance may use; its type is dns.
type Service struct {
	Type    string `json:"type"`
	Address string `json:"address"`
}

// Encode returns the document's bytes; those of nil are "{}".
func (n *NetworkData) Encode() []byte {
	if n == nil {
		return []byte("{}")
	}
	return encode(n)
}

// NetworkData returns the instance's network_data.json, nil for an instance
// without ports.
func (i *Instance) NetworkData() *NetworkData {
	if len(i.Ports) == 0 {
		return nil
	}
	if i.CompleteNetwork {
		return completeNetwork(i.Ports)
	}
	n := &NetworkData{Links: []Link{}, Networks: []Network{}, Services: []Service{}}
	for _, p := range i.Ports {
		if len(p.Subnets) == 0 {
			continue
		}
		n.Links = append(n.Links, p.link())
		n.add(p, p.first(true))
		n.add(p, p.first(false))
	}
	return n
}

// addService appends what is not there yet.
func (n *NetworkData) addService(s Service) {
	if !slices.Contains(n.Services, s) {
		n.Services = append(n.Services, s)
	}
}

func (p Port) link() Link {
	l := Link{ID: p.LinkID, VIFID: p.ID, Type: p.LinkType, MAC: p.MAC}
	dhcp := slices.ContainsFunc(p.Subnets, func(s Subnet) bool { return s.DHCP })
	if !dhcp && p.MTU > 0 {
		l.MTU = &p.MTU
	}
	return l
}

// add appends what p has on its subnet s; a subnet without an address of the
// port, or none at all, adds nothing.
func (n *NetworkData) add(p Port, s *Subnet) {
	if s == nil || len(s.Addrs) == 0 {
		return
	}
	n.Networks = append(n.Networks, network(fmt.Sprintf("network%d", len(n.Networks)), p, s))
	for _, dns := range services(s) {
		n.addService(dns)
	}
}

// nova: virt/netutils.py, _get_nets. An address mode comes before DHCP: such a
// network carries its address although the instance gets it by other means.
func network(id string, p Port, s *Subnet) Network {
	family := "ipv6"
	if s.CIDR.Addr().Is4() {
		family = "ipv4"
	}
	net := Network{ID: id, Type: family, Link: p.LinkID, NetworkID: p.NetworkID}
	switch {
	case s.AddressMode != "":
		net.Type += "_" + s.AddressMode
	case s.DHCP:
		net.Type += "_dhcp"
		return net
	}
	net.IPAddress = s.Addrs[0].String()
	net.Netmask = netmask(s.CIDR)
	net.Routes = []NetworkRoute{}
	if s.Gateway.IsValid() {
		net.Routes = append(net.Routes, route(defaultRoute(s.CIDR), s.Gateway))
	}
	for _, r := range s.Routes {
		net.Routes = append(net.Routes, route(r.Destination, r.Gateway))
	}
	net.Services = services(s)
	return net
}

func route(to netip.Prefix, via netip.Addr) NetworkRoute {
	return NetworkRoute{Network: to.Masked().Addr().String(), Netmask: netmask(to), Gateway: via.String()}
}

// services is never nil.
func services(s *Subnet) []Service {
	dns := []Service{}
	for _, a := range s.DNS {
		dns = append(dns, Service{Type: "dns", Address: a.String()})
	}
	return dns
}

func defaultRoute(cidr netip.Prefix) netip.Prefix {
	if cidr.Addr().Is4() {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}

// netmask returns the prefix length of p as an address.
func netmask(p netip.Prefix) string {
	ones := make([]byte, p.Addr().BitLen()/8)
	for i := range p.Bits() {
		ones[i/8] |= 0x80 >> (i % 8)
	}
	mask, _ := netip.AddrFromSlice(ones)
	return mask.String()
}
