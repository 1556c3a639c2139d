package metadataagent

import (
	"context"
	"net/netip"
	"slices"

	"imprint/host/cloud"
)

// topology is a slice, indexed for the look-up. It does not change.
type topology struct {
	networks map[cloud.NetworkID]*segment
	routers  map[cloud.RouterID]attachment
}

// segment has the ports of a network by what they may be known by. Addresses
// are unique on a network, hardware addresses too; where they are not, the
// look-up finds nothing.
type segment struct {
	byAddr map[netip.Addr][]cloud.DesiredPort
	byMAC  map[cloud.MAC][]cloud.DesiredPort
}

// attachment is where a router's interfaces are.
type attachment struct {
	networks []cloud.NetworkID
	subnets  []cloud.SubnetID
}

func newTopology(s cloud.Slice) *topology {
	t := &topology{map[cloud.NetworkID]*segment{}, map[cloud.RouterID]attachment{}}
	for id := range s.Networks {
		t.networks[id] = &segment{map[netip.Addr][]cloud.DesiredPort{}, map[cloud.MAC][]cloud.DesiredPort{}}
	}
	for _, p := range s.Ports {
		n := t.networks[p.NetworkID]
		if n == nil {
			continue
		}
		n.byMAC[p.MAC] = append(n.byMAC[p.MAC], p)
		for _, a := range p.Addrs {
			addr := a.Prefix.Addr().Unmap()
			n.byAddr[addr] = append(n.byAddr[addr], p)
		}
	}
	for id, r := range s.Routers {
		t.routers[id] = attach(r, s.Ports)
	}
	return t
}

func attach(r cloud.DesiredRouter, ports map[cloud.PortID]cloud.DesiredPort) attachment {
	var a attachment
	for _, id := range r.Ports {
		p, ok := ports[id]
		if !ok {
			continue
		}
		if !slices.Contains(a.networks, p.NetworkID) {
			a.networks = append(a.networks, p.NetworkID)
		}
		for _, addr := range p.Addrs {
			a.subnets = append(a.subnets, addr.SubnetID)
		}
	}
	return a
}

// Router meets [Ports], as the others do.
func (t *topology) Router(_ context.Context, id cloud.RouterID) ([]cloud.NetworkID, []cloud.SubnetID, error) {
	a := t.routers[id]
	return a.networks, a.subnets, nil
}

func (t *topology) ByAddr(_ context.Context, networks []cloud.NetworkID, addr netip.Addr) ([]cloud.DesiredPort, error) {
	return t.ports(networks, func(s *segment) []cloud.DesiredPort { return s.byAddr[addr] }), nil
}

func (t *topology) ByMAC(_ context.Context, networks []cloud.NetworkID, mac cloud.MAC) ([]cloud.DesiredPort, error) {
	return t.ports(networks, func(s *segment) []cloud.DesiredPort { return s.byMAC[mac] }), nil
}

func (t *topology) ports(networks []cloud.NetworkID, of func(*segment) []cloud.DesiredPort) []cloud.DesiredPort {
	var all []cloud.DesiredPort
	for _, id := range networks {
		if s := t.networks[id]; s != nil {
			all = append(all, of(s)...)
		}
	}
	return all
}

// Forget: the next slice says what is no longer true.
func (t *topology) Forget(cloud.Sender) bool { return false }

// knows reports whether the sender's router or network is the slice's.
func (t *topology) knows(s cloud.Sender) bool {
	if s.Router != "" {
		_, ok := t.routers[s.Router]
		return ok
	}
	return t.networks[s.Network] != nil
}
