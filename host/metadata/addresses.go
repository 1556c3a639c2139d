package metadata

import (
	"net/netip"
	"slices"

	"imprint/host/cloud"
)

// addresses finds servers by fixed address. Its owner guards it.
type addresses struct {
	kept      bool // false: nothing is kept, nothing found
	holders   map[netip.Addr][]holder
	providers map[string]int // uses by the subnets of ports
}

// holder is a server's port with an address.
type holder struct {
	server *cloud.Server
	nic    *nic
}

func newAddresses(kept bool) addresses {
	return addresses{kept: kept, holders: map[netip.Addr][]holder{}, providers: map[string]int{}}
}

func (x *addresses) add(f *facts) {
	if !x.kept {
		return
	}
	for i := range f.nics {
		n := &f.nics[i]
		for _, ip := range n.port.FixedIPs {
			x.holders[ip.Addr] = append(x.holders[ip.Addr], holder{f.server, n})
		}
		for _, s := range n.subnets {
			for _, p := range s.ServiceProviders {
				x.providers[p]++
			}
		}
	}
}

func (x *addresses) remove(f *facts) {
	if !x.kept {
		return
	}
	for i := range f.nics {
		n := &f.nics[i]
		for _, ip := range n.port.FixedIPs {
			left := slices.DeleteFunc(x.holders[ip.Addr], func(h holder) bool { return h.nic == n })
			if x.holders[ip.Addr] = left; len(left) == 0 {
				delete(x.holders, ip.Addr)
			}
		}
		for _, s := range n.subnets {
			for _, p := range s.ServiceProviders {
				if x.providers[p]--; x.providers[p] == 0 {
					delete(x.providers, p)
				}
			}
		}
	}
}

// at departs from Nova where several networks have the address: nobody can
// tell who asks, so nobody is told.
func (x *addresses) at(a netip.Addr) (cloud.ServerID, error) {
	if h := x.holders[a]; len(h) == 1 {
		return h[0].server.ServerID, nil
	}
	return "", cloud.ErrNotFound
}

// behind: nova: api/metadata/handler.py, _get_instance_id_from_lb.
func (x *addresses) behind(provider string, a netip.Addr) (cloud.ServerID, error) {
	if x.providers[provider] == 0 {
		return "", noSubnets(provider)
	}
	var found []holder
	for _, h := range x.holders[a] {
		if h.nic.providedBy(provider) {
			found = append(found, h)
		}
	}
	if len(found) != 1 {
		return "", notOnePort(provider, a, len(found))
	}
	if found[0].nic.port.ProjectID != found[0].server.ProjectID {
		return "", cloud.ErrNotFound
	}
	return found[0].server.ServerID, nil
}

func noSubnets(provider string) error {
	return cloud.Errorf(cloud.Invalid, "Could not find any subnets for provider %s", provider)
}

func notOnePort(provider string, a netip.Addr, n int) error {
	return cloud.Errorf(cloud.Invalid, "Expected a single port matching provider %s and IP %s. Found %d.", provider, a, n)
}

func (n *nic) providedBy(provider string) bool {
	return slices.ContainsFunc(n.subnets, func(s *cloud.Subnet) bool { return slices.Contains(s.ServiceProviders, provider) })
}
