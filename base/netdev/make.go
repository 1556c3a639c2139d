package netdev

import (
	"errors"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"imprint/base/netns"
)

// Veth is a pair to be made: one end here, the other in PeerNS.
type Veth struct {
	Name     string
	MTU      int    // of both ends; 0 is the kernel's choice
	Group    uint32 // of this end, from its first moment on
	PeerName string
	PeerMAC  net.HardwareAddr // nil is the kernel's choice
	PeerNS   *netns.NS
}

// AddVeth makes the pair, both ends down. errors.Is fs.ErrExist when a name is
// taken at either end; then nothing is made.
func (h *Handle) AddVeth(v Veth) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.Group = v.Name, v.MTU, v.Group
	link := netlink.NewVeth(attrs)
	link.PeerName, link.PeerHardwareAddr = v.PeerName, v.PeerMAC
	link.PeerNamespace = netlink.NsFd(v.PeerNS.FD())
	return h.wrap("add veth", v.Name, h.nl.LinkAdd(link))
}

// AddBridge makes a bridge, down and in group, that floods multicast and does
// not speak the spanning tree protocol.
func (h *Handle) AddBridge(name string, group uint32) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.Group = name, group
	snooping := false
	return h.wrap("add bridge", name, h.nl.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}))
}

// DeleteLink removes a link, of a veth both ends; errors.Is [ErrNotFound].
func (h *Handle) DeleteLink(name string) error {
	l, err := h.nl.LinkByName(name)
	if err != nil {
		return h.wrap("delete link", name, notFound(err))
	}
	err = h.nl.LinkDel(l)
	if errors.Is(err, unix.ENODEV) { // its other end went first
		err = ErrNotFound
	}
	return h.wrap("delete link", name, err)
}

// Settings are what [Handle.Set] makes of a link. Zero fields are left alone.
type Settings struct {
	Name   string // a new name; needs a kernel from 6.2 on, or a link that is down
	Alias  string
	MTU    int
	MAC    net.HardwareAddr
	Group  uint32
	Master string // name of the bridge
	Up     bool   // true sets it up, last of all; false leaves it
}

// Set changes what differs between the link called name and s.
func (h *Handle) Set(name string, s Settings) error {
	l, err := h.nl.LinkByName(name)
	if err != nil {
		return h.wrap("set link", name, notFound(err))
	}
	return h.wrap("set link", name, h.set(l, fromKernel(l), s))
}

func (h *Handle) set(l netlink.Link, have Link, s Settings) error {
	var failed error
	do := func(differs bool, change func() error) {
		if failed == nil && differs {
			failed = change()
		}
	}
	do(s.Alias != "" && s.Alias != have.Alias, func() error { return h.nl.LinkSetAlias(l, s.Alias) })
	do(s.MTU != 0 && s.MTU != have.MTU, func() error { return h.nl.LinkSetMTU(l, s.MTU) })
	do(s.MAC != nil && s.MAC.String() != have.MAC.String(), func() error { return h.nl.LinkSetHardwareAddr(l, s.MAC) })
	do(s.Group != 0 && s.Group != have.Group, func() error { return h.nl.LinkSetGroup(l, int(s.Group)) })
	do(s.Name != "" && s.Name != have.Name, func() error { return h.nl.LinkSetName(l, s.Name) })
	do(s.Master != "", func() error { return h.setMaster(l, have, s.Master) })
	do(s.Up && !have.Up, func() error { return h.nl.LinkSetUp(l) })
	return failed
}

func (h *Handle) setMaster(l netlink.Link, have Link, name string) error {
	master, err := h.nl.LinkByName(name)
	if err != nil || master.Attrs().Index == have.Master {
		return notFound(err)
	}
	return h.nl.LinkSetMaster(l, master)
}

// Pin makes the bridge send what is for mac through its port link and nowhere
// else, learn nothing from what comes in there, and send nothing there that it
// knows no port for. The link is on its bridge already. Frames to a bridge's
// own group addresses pass no filter, but would be learned from.
func (h *Handle) Pin(link string, mac net.HardwareAddr) error {
	l, err := h.nl.LinkByName(link)
	if err != nil {
		return h.wrap("pin", link, notFound(err))
	}
	port, err := h.nl.LinkGetProtinfo(l)
	if err != nil {
		return h.wrap("pin", link, err)
	}
	if port.Learning {
		err = h.nl.LinkSetLearning(l, false)
	}
	if err == nil && port.Flood {
		err = h.nl.LinkSetFlood(l, false)
	}
	if err == nil {
		err = h.nl.NeighSet(&netlink.Neigh{
			LinkIndex: l.Attrs().Index, Family: unix.AF_BRIDGE, Flags: netlink.NTF_MASTER, State: netlink.NUD_NOARP, HardwareAddr: mac,
		})
	}
	return h.wrap("pin", link, err)
}
