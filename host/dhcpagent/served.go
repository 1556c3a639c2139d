package dhcpagent

import (
	"net/netip"
	"slices"
	"time"

	"imprint/base/dhcp"
	"imprint/host/cloud"
)

// The metadata addresses as they sit on a DHCP port.
// neutron_lib: constants.METADATA_CIDR, METADATA_V6_CIDR
var (
	metadata4 = netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254, 169, 254}), 32)
	metadata6 = netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 12: 0xa9, 13: 0xfe, 14: 0xa9, 15: 0xfe}), 64)
)

// metadataHere reports whether the metadata address belongs on the network's
// DHCP port. neutron: agent/linux/dhcp.py should_enable_metadata. Unlike
// Neutron, which puts the address on every port once the option is on, it is
// only where something listens on it.
func (c Config) metadataHere(n cloud.DesiredNetwork) bool {
	isolated := func(s cloud.DesiredSubnet) bool { return s.CIDR.Addr().Is4() && s.DHCP && !s.Router.IsValid() }
	return c.ForceMetadata || c.IsolatedMetadata && slices.ContainsFunc(n.Subnets, isolated)
}

func prefixes(p cloud.DesiredPort) (all []netip.Prefix) {
	for _, a := range p.Addrs {
		all = append(all, a.Prefix)
	}
	return all
}

// served is what the DHCP worker is told of a network.
type served struct {
	Subnets []dhcp.Subnet `json:"subnets"`
	Domain  string        `json:"domain"`
	MTU     uint16        `json:"mtu"`
	Lease   time.Duration `json:"lease"`
	Hosts   []host        `json:"hosts"`
}

type host struct {
	MAC  cloud.MAC  `json:"mac"`
	Addr netip.Addr `json:"addr"`
}

// served turns the desired network into what DHCP says. Only IPv4 subnets with
// DHCP on which the port has an address are served, each host with its first
// address in one of them.
func (c Config) served(n cloud.DesiredNetwork, port cloud.DesiredPort) served {
	s := served{Domain: c.Domain, Lease: c.Lease, MTU: uint16(max(0, min(n.MTU, 65535)))}
	for _, subnet := range n.Subnets {
		if server := serverOn(subnet, port); server.IsValid() {
			s.Subnets = append(s.Subnets, c.subnet(subnet, server))
		}
	}
	for _, h := range n.Hosts {
		if addr, ok := s.addrOf(h); ok {
			s.Hosts = append(s.Hosts, host{h.MAC, addr})
		}
	}
	return s
}

func (s served) addrOf(h cloud.Host) (netip.Addr, bool) {
	for _, a := range h.Addrs {
		if slices.ContainsFunc(s.Subnets, func(d dhcp.Subnet) bool { return d.Prefix.Contains(a) }) {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// serverOn returns the address at which the port serves a subnet; the zero
// Addr when it does not.
func serverOn(s cloud.DesiredSubnet, port cloud.DesiredPort) netip.Addr {
	if !s.DHCP || !s.CIDR.Addr().Is4() {
		return netip.Addr{}
	}
	for _, a := range port.Addrs {
		if a.SubnetID == s.ID {
			return a.Prefix.Addr()
		}
	}
	return netip.Addr{}
}

// subnet gives the routes in Neutron's order: the subnet's own, metadata; the
// default route follows by the gateway. neutron: agent/linux/dhcp.py
// _generate_opts_per_subnet
func (c Config) subnet(s cloud.DesiredSubnet, server netip.Addr) dhcp.Subnet {
	d := dhcp.Subnet{Prefix: s.CIDR, Server: server, Gateway: s.Gateway, DNS: s.DNS}
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
	return d
}

// metadataVia is the way to the metadata address: over the DHCP port with
// force_metadata; over the router where there is one, whatever is configured;
// else over the DHCP port, if it has the address at all.
func (c Config) metadataVia(s cloud.DesiredSubnet, server netip.Addr) netip.Addr {
	switch {
	case c.ForceMetadata:
		return server
	case s.Router.IsValid():
		return s.Router
	case c.IsolatedMetadata:
		return server
	}
	return netip.Addr{}
}

// network is what base/dhcp answers from.
func (s served) network() (*dhcp.Network, error) {
	n := &dhcp.Network{Subnets: s.Subnets, Domain: s.Domain, MTU: s.MTU, Lease: s.Lease, Hosts: make(map[dhcp.MAC]dhcp.Host, len(s.Hosts))}
	for _, h := range s.Hosts {
		mac, err := dhcp.ParseMAC(string(h.MAC))
		if err != nil {
			return nil, err
		}
		n.Hosts[mac] = dhcp.Host{Addr: h.Addr}
	}
	return n, nil
}
