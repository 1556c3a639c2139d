package cloud

import (
	"cmp"
	"net/netip"
	"slices"
)

// Model is the present state of all nouns in memory, indexed for the look-ups
// that roles and services make. It is not safe for concurrent use; whoever
// holds one (host/store) guards it. The records in it are shared: read only.
type Model struct {
	Projects map[ProjectID]*Project
	Users    map[UserID]*User
	KeyPairs map[string]*KeyPair
	Images   map[ImageID]*Image
	Flavors  map[FlavorID]*Flavor
	Servers  map[ServerID]*Server
	Networks map[NetworkID]*Network
	Subnets  map[SubnetID]*Subnet
	Ports    map[PortID]*Port
	Routers  map[RouterID]*Router
	Nodes    map[string]*Node

	FloatingIPs map[FloatingID]*FloatingIP

	byAddr    map[networkAddr]PortID
	onNetwork map[NetworkID]map[PortID]*Port
	ofDevice  map[string]map[PortID]*Port
	subnetsOf map[NetworkID]map[SubnetID]*Subnet
	journal   journal
	floating  map[PortID]map[FloatingID]*FloatingIP
}

type networkAddr struct {
	network NetworkID
	addr    netip.Addr
}

// NewModel returns an empty model.
func NewModel() *Model {
	return &Model{
		Projects: map[ProjectID]*Project{}, Users: map[UserID]*User{}, KeyPairs: map[string]*KeyPair{},
		Images: map[ImageID]*Image{}, Flavors: map[FlavorID]*Flavor{}, Servers: map[ServerID]*Server{},
		Networks: map[NetworkID]*Network{}, Subnets: map[SubnetID]*Subnet{}, Ports: map[PortID]*Port{},
		Routers: map[RouterID]*Router{}, Nodes: map[string]*Node{}, FloatingIPs: map[FloatingID]*FloatingIP{}, floating: map[PortID]map[FloatingID]*FloatingIP{},
		byAddr: map[networkAddr]PortID{}, onNetwork: map[NetworkID]map[PortID]*Port{},
		ofDevice: map[string]map[PortID]*Port{}, subnetsOf: map[NetworkID]map[SubnetID]*Subnet{},
	}
}

// Apply makes one change. Applying the same change again changes nothing.
func (m *Model) Apply(c Change) {
	m.journal.add(c)
	switch r := c.Record.(type) {
	case *Project:
		set(m.Projects, r.ProjectID, r, c.Deleted)
	case *User:
		set(m.Users, r.UserID, r, c.Deleted)
	case *KeyPair:
		set(m.KeyPairs, r.ID(), r, c.Deleted)
	case *Image:
		set(m.Images, r.ImageID, r, c.Deleted)
	case *Flavor:
		set(m.Flavors, r.FlavorID, r, c.Deleted)
	case *Server:
		set(m.Servers, r.ServerID, r, c.Deleted)
	case *Network:
		set(m.Networks, r.NetworkID, r, c.Deleted)
	case *Subnet:
		m.applySubnet(r, c.Deleted)
	case *Port:
		m.applyPort(r, c.Deleted)
	case *Router:
		set(m.Routers, r.RouterID, r, c.Deleted)
	case *Node:
		set(m.Nodes, r.Name, r, c.Deleted)
	case *FloatingIP:
		m.applyFloating(r, c.Deleted)
	}
}

func (m *Model) applyFloating(f *FloatingIP, deleted bool) {
	if old := m.FloatingIPs[f.FloatingID]; old != nil {
		setIn(m.floating, old.PortID, old.FloatingID, old, true)
	}
	set(m.FloatingIPs, f.FloatingID, f, deleted)
	if f.PortID != "" {
		setIn(m.floating, f.PortID, f.FloatingID, f, deleted)
	}
}

// FloatingIPsOf returns the floating addresses that stand for port p, oldest
// first.
func (m *Model) FloatingIPsOf(p PortID) []*FloatingIP { return sorted(m.floating[p]) }

func (m *Model) applySubnet(s *Subnet, deleted bool) {
	set(m.Subnets, s.SubnetID, s, deleted)
	setIn(m.subnetsOf, s.NetworkID, s.SubnetID, s, deleted)
}

func (m *Model) applyPort(p *Port, deleted bool) {
	if old := m.Ports[p.PortID]; old != nil {
		for _, ip := range old.FixedIPs {
			if at := (networkAddr{old.NetworkID, ip.Addr}); m.byAddr[at] == old.PortID {
				delete(m.byAddr, at)
			}
		}
		setIn(m.onNetwork, old.NetworkID, old.PortID, old, true)
		setIn(m.ofDevice, old.DeviceID, old.PortID, old, true)
	}
	set(m.Ports, p.PortID, p, deleted)
	if deleted {
		return
	}
	for _, ip := range p.FixedIPs {
		m.byAddr[networkAddr{p.NetworkID, ip.Addr}] = p.PortID
	}
	setIn(m.onNetwork, p.NetworkID, p.PortID, p, false)
	setIn(m.ofDevice, p.DeviceID, p.PortID, p, false)
}

// Get returns the stored version of the record with that kind and id, nil when
// there is none.
func (m *Model) Get(k RecordKind, id string) Record {
	switch k {
	case KindProject:
		return found(m.Projects, ProjectID(id))
	case KindUser:
		return found(m.Users, UserID(id))
	case KindKeyPair:
		return found(m.KeyPairs, id)
	case KindImage:
		return found(m.Images, ImageID(id))
	case KindFlavor:
		return found(m.Flavors, FlavorID(id))
	case KindServer:
		return found(m.Servers, ServerID(id))
	case KindNetwork:
		return found(m.Networks, NetworkID(id))
	case KindSubnet:
		return found(m.Subnets, SubnetID(id))
	case KindPort:
		return found(m.Ports, PortID(id))
	case KindRouter:
		return found(m.Routers, RouterID(id))
	case KindNode:
		return found(m.Nodes, id)
	case KindFloatingIP:
		return found(m.FloatingIPs, FloatingID(id))
	}
	return nil
}

// PortAt returns the port with address a on network n, nil when there is none.
func (m *Model) PortAt(n NetworkID, a netip.Addr) *Port {
	return m.Ports[m.byAddr[networkAddr{n, a.Unmap()}]]
}

// PortsOn returns the ports of network n, oldest first.
func (m *Model) PortsOn(n NetworkID) []*Port { return sorted(m.onNetwork[n]) }

// PortsOf returns the ports of device d (a server or router id), oldest first.
func (m *Model) PortsOf(d string) []*Port { return sorted(m.ofDevice[d]) }

// SubnetsOf returns the subnets of network n, oldest first.
func (m *Model) SubnetsOf(n NetworkID) []*Subnet { return sorted(m.subnetsOf[n]) }

// Sorted returns the records of one of the model's maps, oldest first, equal
// times in the order of their ids.
func Sorted[K cmp.Ordered, R Record](records map[K]R) []R { return sorted(records) }

func sorted[K comparable, R Record](records map[K]R) []R {
	out := make([]R, 0, len(records))
	for _, r := range records {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b R) int {
		return cmp.Or(a.Head().CreatedAt.Compare(b.Head().CreatedAt), cmp.Compare(a.ID(), b.ID()))
	})
	return out
}

func set[K comparable, R any](records map[K]R, id K, r R, deleted bool) {
	if deleted {
		delete(records, id)
		return
	}
	records[id] = r
}

func setIn[G, K comparable, R any](groups map[G]map[K]R, g G, id K, r R, deleted bool) {
	group := groups[g]
	if deleted {
		delete(group, id)
		if len(group) == 0 {
			delete(groups, g)
		}
		return
	}
	if group == nil {
		group = map[K]R{}
		groups[g] = group
	}
	group[id] = r
}

func found[K comparable, R Record](records map[K]R, id K) Record {
	if r, ok := records[id]; ok {
		return r
	}
	return nil
}
