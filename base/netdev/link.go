package netdev

import (
	"cmp"
	"errors"
	"net"
	"slices"

	"github.com/vishvananda/netlink"

	"imprint/base/netns"
)

// Link is an interface as the kernel has it.
type Link struct {
	Index  int
	Name   string
	Kind   string // bridge, veth, …; "" for lo
	MAC    net.HardwareAddr
	MTU    int
	Up     bool // administratively
	Alias  string
	Group  uint32
	Master int // index of the bridge it is a port of; 0 for none
	Peer   int // index of a veth's other end, in PeerNS
	PeerNS int // number that this namespace gives to the peer's; -1 for this one
}

// Links returns all links of the namespace by index.
func (h *Handle) Links() ([]Link, error) {
	all, err := dump(h.nl.LinkList)
	if err != nil {
		return nil, h.wrap("list", "links", err)
	}
	links := make([]Link, 0, len(all))
	for _, l := range all {
		links = append(links, fromKernel(l))
	}
	slices.SortFunc(links, func(a, b Link) int { return cmp.Compare(a.Index, b.Index) })
	return links, nil
}

// Link returns the link called name; errors.Is [ErrNotFound].
func (h *Handle) Link(name string) (Link, error) {
	l, err := h.nl.LinkByName(name)
	if err != nil {
		return Link{}, h.wrap("find link", name, notFound(err))
	}
	return fromKernel(l), nil
}

// PeerNS returns the number that this namespace gives to ns, as in
// [Link.PeerNS]; -1 when it has given none.
func (h *Handle) PeerNS(ns *netns.NS) (int, error) {
	id, err := h.nl.GetNetNsIdByFd(ns.FD())
	return id, h.wrap("number namespace", ns.Name(), err)
}

func fromKernel(l netlink.Link) Link {
	a := l.Attrs()
	link := Link{
		Index: a.Index, Name: a.Name, MAC: a.HardwareAddr, MTU: a.MTU, Up: a.Flags&net.FlagUp != 0,
		Alias: a.Alias, Group: a.Group, Master: a.MasterIndex, PeerNS: -1,
	}
	if a.Flags&net.FlagLoopback == 0 {
		link.Kind = l.Type()
	}
	if link.Kind == "veth" {
		link.Peer, link.PeerNS = a.ParentIndex, a.NetNsID
	}
	return link
}

func notFound(err error) error {
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return ErrNotFound
	}
	return err
}
