package plan

import (
	"maps"

	"imprint/host/cloud"
)

// Only returns what of a node's slice its processes for the named parts need:
// one process may run the agents of a part alone, and then sees no more.
//
//   - compute: the instances, their ports, and the networks of these.
//   - metadata: the networks, routers and ports, among which a request's
//     sender is looked up.
//   - network: everything but the instances.
//
// What DHCP serves on a network (DHCPPort and Hosts) goes to network alone.
// Several parts get the union of what each gets, all of them the whole slice,
// none nothing. The maps of the result are its own; s is not changed.
func Only(s cloud.Slice, network, compute, metadata bool) cloud.Slice {
	only := cloud.NewSlice()
	if compute {
		instances(s, only)
	}
	if !network && !metadata {
		return only
	}
	maps.Copy(only.Routers, s.Routers)
	maps.Copy(only.Ports, s.Ports)
	for id, n := range s.Networks {
		if !network {
			n = unserved(n)
		}
		only.Networks[id] = n
	}
	return only
}

// instances adds the instances of s with what they hang on.
func instances(s, only cloud.Slice) {
	maps.Copy(only.Instances, s.Instances)
	for _, inst := range s.Instances {
		for _, id := range inst.Ports {
			port, known := s.Ports[id]
			if !known {
				continue
			}
			only.Ports[id] = port
			if n, known := s.Networks[port.NetworkID]; known {
				only.Networks[port.NetworkID] = unserved(n)
			}
		}
	}
}

// unserved returns n as a node has it that does not serve DHCP there.
func unserved(n cloud.DesiredNetwork) cloud.DesiredNetwork {
	n.DHCPPort, n.Hosts = "", nil
	return n
}
