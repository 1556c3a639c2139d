package dhcpagent

import (
	"net/netip"
	"slices"
	"time"

	"imprint/base/dhcp"
	"imprint/host/cloud"
)

// served is what the worker is told of a network.
type served struct {
	Subnets []dhcp.Subnet `json:"subnets"`
	Domain  string        `json:"domain"`
	MTU     uint16        `json:"mtu"`
	Lease   time.Duration `json:"lease"`
	// ServerID and Subnets6 are for DHCPv6.
	ServerID string         `json:"server_id,omitempty"` // a UUID
	Subnets6 []dhcp.Subnet6 `json:"subnets6,omitempty"`
	Hosts    []host         `json:"hosts"`
	// Prefixes are all of the network, Upstream the servers for other names.
	Prefixes []netip.Prefix   `json:"prefixes,omitempty"`
	Upstream []netip.AddrPort `json:"upstream,omitempty"`
}

// host is a port with all its addresses.
type host struct {
	MAC     cloud.MAC          `json:"mac"`
	Addrs   []netip.Addr       `json:"addrs"`
	Options []cloud.DHCPOption `json:"options,omitempty"`
}

// served turns the desired network into what is said about it. Only subnets
// with DHCP on which the port has an address are served; names are of all.
func (c Config) served(n cloud.DesiredNetwork, port cloud.DesiredPort) served {
	s := served{
		Domain: c.Domain, Lease: c.Lease, MTU: uint16(max(0, min(n.MTU, 65535))), ServerID: string(port.ID), Upstream: c.DNSServers,
	}
	for _, subnet := range n.Subnets {
		s.Prefixes = append(s.Prefixes, subnet.CIDR)
		server := serverOn(subnet, port)
		switch {
		case !server.IsValid():
		case server.Is4():
			s.Subnets = append(s.Subnets, c.subnet(subnet, server, n.Subnets))
		case subnet.AddrMode != cloud.ModeSLAAC:
			s.Subnets6 = append(s.Subnets6, subnet6(subnet, server))
		}
	}
	for _, h := range n.Hosts {
		s.Hosts = append(s.Hosts, host{MAC: h.MAC, Addrs: h.Addrs, Options: h.Options})
	}
	return s
}

// serverOn returns the address at which the port serves a subnet; the zero
// Addr when it does not.
func serverOn(s cloud.DesiredSubnet, port cloud.DesiredPort) netip.Addr {
	if !s.DHCP {
		return netip.Addr{}
	}
	for _, a := range port.Addrs {
		if a.SubnetID == s.ID {
			return a.Prefix.Addr()
		}
	}
	return netip.Addr{}
}

// resolvers are the name servers that instances are told of: the subnet's; the
// DHCP port itself where it has none; none where it names the unspecified
// address. neutron: agent/linux/dhcp.py _generate_opts_per_subnet
func resolvers(s cloud.DesiredSubnet, server netip.Addr) []netip.Addr {
	switch {
	case len(s.DNS) == 0:
		return []netip.Addr{server}
	case len(s.DNS) == 1 && s.DNS[0].IsUnspecified():
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.DNS), func(a netip.Addr) bool { return a.Is4() != server.Is4() })
}

// subnet6 is one with DHCPv6. A subnet without modes has addresses by DHCPv6
// too, as in Neutron; whether its clients ask is up to who advertises it.
func subnet6(s cloud.DesiredSubnet, server netip.Addr) dhcp.Subnet6 {
	stateful := s.AddrMode == cloud.ModeStateful || s.AddrMode == "" && s.RAMode == ""
	return dhcp.Subnet6{Prefix: s.CIDR, Stateful: stateful, DNS: resolvers(s, server)}
}

// subnet gives the routes in Neutron's order: the subnet's own, metadata, the
// network's other subnets, which are on the link; the default route follows by
// the gateway. neutron: agent/linux/dhcp.py _generate_opts_per_subnet
func (c Config) subnet(s cloud.DesiredSubnet, server netip.Addr, all []cloud.DesiredSubnet) dhcp.Subnet {
	d := dhcp.Subnet{Prefix: s.CIDR, Server: server, Gateway: s.Gateway, DNS: resolvers(s, server)}
	for _, r := range s.HostRoutes {
		switch {
		case !r.Destination.Addr().Is4():
		case r.Destination.Bits() > 0:
			d.Routes = append(d.Routes, dhcp.Route{To: r.Destination, Via: r.NextHop})
		case !d.Gateway.IsValid():
			d.Gateway = r.NextHop
		}
	}
	if via := c.metadataVia(s, server); via.IsValid() {
		d.Routes = append(d.Routes, dhcp.Route{To: metadata4, Via: via})
	}
	for _, other := range all {
		if other.CIDR.Addr().Is4() && other.CIDR != s.CIDR {
			d.Routes = append(d.Routes, dhcp.Route{To: other.CIDR, Via: netip.IPv4Unspecified()})
		}
	}
	return d
}
