// Package plan answers "what should a node have?": it turns the nouns into the
// desired records of one node. It is pure: the same model gives the same slice.
package plan

import (
	"imprint/host/cloud"
)

// For returns what the node called name is to realise. A node that the model
// does not know has nothing.
//
// A compute node gets its servers, their ports and networks. A network node
// gets besides every router and DHCP port that is bound to it, with all ports
// of their networks, because it serves them.
func For(m *cloud.Model, name string) cloud.Slice {
	p := planner{model: m, node: m.Nodes[name], slice: cloud.NewSlice()}
	if p.node == nil {
		return p.slice
	}
	for _, s := range m.Servers {
		if s.Host == name {
			p.server(s)
		}
	}
	if p.node.Network {
		for _, port := range m.Ports {
			p.served(port)
		}
	}
	return p.slice
}

type planner struct {
	model *cloud.Model
	node  *cloud.Node
	slice cloud.Slice
	float map[cloud.RouterID][]cloud.DesiredFloating // nil until asked for
}

// server adds an instance, its ports and their networks.
func (p *planner) server(s *cloud.Server) {
	p.slice.Instances[s.ServerID] = cloud.DesiredInstance{
		ID: s.ServerID, ProjectID: s.ProjectID, Name: s.Name, Tree: s.Tree,
		RAM: s.Flavor.RAM, CPUs: s.Flavor.VCPUs, Ports: s.Ports, ConfigDrive: s.ConfigDrive,
		DriveGeneration: s.DriveGeneration, Power: s.Power,
		RebootGeneration: s.RebootGeneration, RebootType: s.RebootType, RebuildGeneration: s.RebuildGeneration,
		Deleting: s.Deleting,
	}
	for _, id := range s.Ports {
		if port := p.model.Ports[id]; port != nil {
			p.port(port, true)
			p.network(port.NetworkID)
		}
	}
}

// served adds what hangs on a port of the node's own services: the DHCP port
// brings its network, a router's leg brings the router and the network.
func (p *planner) served(port *cloud.Port) {
	if port.Host != p.node.Name {
		return
	}
	switch port.DeviceOwner {
	case cloud.OwnerDHCP:
	case cloud.OwnerRouterInterface, cloud.OwnerRouterGateway:
		p.router(cloud.RouterID(port.DeviceID))
	default:
		return
	}
	p.network(port.NetworkID)
	for _, other := range p.model.PortsOn(port.NetworkID) {
		p.port(other, other.Host == p.node.Name)
	}
}

func (p *planner) router(id cloud.RouterID) {
	r := p.model.Routers[id]
	if r == nil || r.AdminDown {
		return
	}
	d := cloud.DesiredRouter{ID: r.RouterID, ProjectID: r.ProjectID}
	for _, port := range p.model.PortsOf(string(id)) {
		switch {
		case port.Host != p.node.Name:
		case port.DeviceOwner == cloud.OwnerRouterInterface:
			d.Ports = append(d.Ports, port.PortID)
		case port.PortID == r.GatewayPort:
			d.Gateway, d.SNAT, d.Floating = port.PortID, !r.NoSNAT, p.floating(id)
		}
	}
	p.slice.Routers[id] = d
}

// floating are the addresses that a router translates, in their order.
func (p *planner) floating(id cloud.RouterID) []cloud.DesiredFloating {
	if p.float == nil {
		p.float = map[cloud.RouterID][]cloud.DesiredFloating{}
		for _, f := range cloud.Sorted(p.model.FloatingIPs) {
			if f.PortID != "" {
				p.float[f.RouterID] = append(p.float[f.RouterID], cloud.DesiredFloating{Addr: f.Addr, Fixed: f.FixedAddr})
			}
		}
	}
	return p.float[id]
}

func (p *planner) port(port *cloud.Port, local bool) {
	d := cloud.DesiredPort{
		ID: port.PortID, NetworkID: port.NetworkID, ProjectID: port.ProjectID, MAC: port.MAC,
		Owner: port.DeviceOwner, DeviceID: port.DeviceID, Local: local && !port.AdminDown,
	}
	for _, ip := range port.FixedIPs {
		if s := p.model.Subnets[ip.SubnetID]; s != nil {
			d.Addrs = append(d.Addrs, cloud.PortAddr{SubnetID: ip.SubnetID, Prefix: netipPrefix(ip.Addr, s.CIDR)})
		}
	}
	p.slice.Ports[port.PortID] = d
}
