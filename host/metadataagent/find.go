package metadataagent

import (
	"context"
	"net/netip"
	"slices"

	"imprint/host/cloud"
)

// Ports is where an agent looks ports up. An error means that it cannot tell
// now; who is unknown is no error. Safe for concurrent use.
type Ports interface {
	// Router returns the networks and subnets that a router has interfaces on;
	// none for an unknown one.
	Router(context.Context, cloud.RouterID) ([]cloud.NetworkID, []cloud.SubnetID, error)
	// ByAddr returns the ports of the networks that have the address.
	ByAddr(context.Context, []cloud.NetworkID, netip.Addr) ([]cloud.DesiredPort, error)
	// ByMAC returns the ports of the networks that have the hardware address.
	ByMAC(context.Context, []cloud.NetworkID, cloud.MAC) ([]cloud.DesiredPort, error)
	// Forget is told that what was found for the sender is no longer true, and
	// reports whether looking again may give another answer.
	Forget(cloud.Sender) bool
}

// find returns the port of the instance that sent a request. The error is
// [cloud.ErrNotFound] when there is none, or more than one.
//
// By a router it looks on the router's subnets: a network of the router may
// have further subnets, whose addresses may be in use behind it elsewhere.
// Neutron looks on all of the networks, and for a router without any, in the
// whole cloud (neutron: agent/metadata/agent.py, 21.0.0).
func find(ctx context.Context, known Ports, s cloud.Sender) (cloud.DesiredPort, error) {
	networks := []cloud.NetworkID{s.Network}
	var subnets []cloud.SubnetID
	if s.Router != "" {
		var err error
		if networks, subnets, err = known.Router(ctx, s.Router); err != nil {
			return cloud.DesiredPort{}, err
		}
	}
	if len(networks) == 0 {
		return cloud.DesiredPort{}, cloud.ErrNotFound
	}
	ports, err := holders(ctx, known, networks, s)
	if err != nil {
		return cloud.DesiredPort{}, err
	}
	if s.Router != "" && !s.LinkLocal() {
		ports = slices.DeleteFunc(slices.Clone(ports), func(p cloud.DesiredPort) bool { return !reached(p, s.Addr, subnets) })
	}
	if len(ports) != 1 || !ports[0].Compute() || ports[0].DeviceID == "" {
		return cloud.DesiredPort{}, cloud.ErrNotFound
	}
	return ports[0], nil
}

func holders(ctx context.Context, known Ports, networks []cloud.NetworkID, s cloud.Sender) ([]cloud.DesiredPort, error) {
	if !s.LinkLocal() {
		return known.ByAddr(ctx, networks, s.Addr)
	}
	mac, ok := s.MAC()
	if !ok {
		return nil, nil
	}
	return known.ByMAC(ctx, networks, mac)
}

// reached reports whether p has the address on one of the subnets.
func reached(p cloud.DesiredPort, addr netip.Addr, subnets []cloud.SubnetID) bool {
	return slices.ContainsFunc(p.Addrs, func(a cloud.PortAddr) bool {
		return a.Prefix.Addr().Unmap() == addr && slices.Contains(subnets, a.SubnetID)
	})
}
