package metadataagent

import (
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
	byAddr map[netip.Addr][]located
	byMAC  map[cloud.MAC][]located
}

// located is a port at one of its addresses.
type located struct {
	port   cloud.DesiredPort
	subnet cloud.SubnetID // "" when found by hardware address
}

// attachment is where a router's interfaces are.
type attachment struct {
	networks []cloud.NetworkID
	subnets  map[cloud.SubnetID]bool
}

func newTopology(s cloud.Slice) *topology {
	t := &topology{map[cloud.NetworkID]*segment{}, map[cloud.RouterID]attachment{}}
	for id := range s.Networks {
		t.networks[id] = &segment{map[netip.Addr][]located{}, map[cloud.MAC][]located{}}
	}
	for _, p := range s.Ports {
		n := t.networks[p.NetworkID]
		if n == nil {
			continue
		}
		n.byMAC[p.MAC] = append(n.byMAC[p.MAC], located{port: p})
		for _, a := range p.Addrs {
			addr := a.Prefix.Addr().Unmap()
			n.byAddr[addr] = append(n.byAddr[addr], located{p, a.SubnetID})
		}
	}
	for id, r := range s.Routers {
		t.routers[id] = attach(r, s.Ports)
	}
	return t
}

func attach(r cloud.DesiredRouter, ports map[cloud.PortID]cloud.DesiredPort) attachment {
	a := attachment{subnets: map[cloud.SubnetID]bool{}}
	for _, id := range r.Ports {
		p, ok := ports[id]
		if !ok {
			continue
		}
		if !slices.Contains(a.networks, p.NetworkID) {
			a.networks = append(a.networks, p.NetworkID)
		}
		for _, addr := range p.Addrs {
			a.subnets[addr.SubnetID] = true
		}
	}
	return a
}

// find returns the port of the instance that q's address belongs to. The error
// is [cloud.ErrNotFound] when there is none, or more than one.
//
// By a router it looks on the router's subnets: a network of the router may
// have further subnets, whose addresses may be in use behind it elsewhere.
func (t *topology) find(q query) (cloud.DesiredPort, error) {
	var found []located
	if q.router == "" {
		found = t.networks[q.network].at(q)
	}
	router := t.routers[q.router]
	for _, id := range router.networks {
		for _, l := range t.networks[id].at(q) {
			if q.linkLocal() || router.subnets[l.subnet] {
				found = append(found, l)
			}
		}
	}
	if len(found) != 1 || !found[0].port.Compute() || found[0].port.DeviceID == "" {
		return cloud.DesiredPort{}, cloud.ErrNotFound
	}
	return found[0].port, nil
}

// at returns who has the address; n may be nil.
func (n *segment) at(q query) []located {
	if n == nil {
		return nil
	}
	if !q.linkLocal() {
		return n.byAddr[q.addr]
	}
	mac, ok := eui64(q.addr)
	if !ok {
		return nil
	}
	return n.byMAC[mac]
}

// knows reports whether the query's router or network is the slice's.
func (t *topology) knows(q query) bool {
	if q.router != "" {
		_, ok := t.routers[q.router]
		return ok
	}
	return t.networks[q.network] != nil
}
