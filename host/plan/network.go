package plan

import (
	"net/netip"

	"imprint/host/cloud"
)

// network adds a network with its subnets, and on the node of its DHCP port
// what DHCP serves there.
func (p *planner) network(id cloud.NetworkID) {
	n := p.model.Networks[id]
	if n == nil {
		return
	}
	if _, done := p.slice.Networks[id]; done {
		return
	}
	d := cloud.DesiredNetwork{ID: n.NetworkID, ProjectID: n.ProjectID, MTU: n.MTU}
	ports := p.model.PortsOn(id)
	for _, s := range p.model.SubnetsOf(id) {
		d.Subnets = append(d.Subnets, cloud.DesiredSubnet{
			ID: s.SubnetID, CIDR: s.CIDR, Gateway: s.Gateway, DHCP: s.DHCP, DNS: s.DNS,
			HostRoutes: s.HostRoutes, Router: routerAddr(s, ports), RAMode: s.IPv6RAMode, AddrMode: s.IPv6AddrMode,
		})
	}
	for _, port := range ports {
		if port.DeviceOwner == cloud.OwnerDHCP {
			if port.Host == p.node.Name && !n.AdminDown {
				d.DHCPPort = port.PortID
			}
			continue
		}
		h := cloud.Host{PortID: port.PortID, MAC: port.MAC, Options: port.DHCPOptions}
		for _, ip := range port.FixedIPs {
			h.Addrs = append(h.Addrs, ip.Addr)
		}
		d.Hosts = append(d.Hosts, h)
	}
	if d.DHCPPort == "" {
		d.Hosts = nil
	}
	p.slice.Networks[id] = d
}

// routerAddr returns the address of a router on s: the gateway's where a router
// has it, else any; the zero Addr while no router is attached. Neutron calls a
// subnet routed by the same rule (agent/linux/dhcp.py get_isolated_subnets).
func routerAddr(s *cloud.Subnet, ports []*cloud.Port) netip.Addr {
	var any netip.Addr
	for _, port := range ports {
		if port.DeviceOwner != cloud.OwnerRouterInterface {
			continue
		}
		for _, ip := range port.FixedIPs {
			if ip.SubnetID != s.SubnetID {
				continue
			}
			if ip.Addr == s.Gateway {
				return ip.Addr
			}
			any = ip.Addr
		}
	}
	return any
}

// netipPrefix joins an address with the length of its subnet.
func netipPrefix(a netip.Addr, subnet netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(a, subnet.Bits())
}
