package fabric

import (
	"fmt"
	"net/netip"

	"imprint/base/netdev"
	"imprint/base/netns"
	"imprint/host/cloud"
)

// Leg plugs a port of an agent into its namespace as [PortLink], gives it
// exactly the addresses addrs, and sets it up.
func (f *Fabric) Leg(p cloud.DesiredPort, mtu int, ns *netns.NS, addrs []netip.Prefix) (netdev.Link, error) {
	name := PortLink(p)
	if err := f.Plug(Plug{Port: p, MTU: mtu, Target: ns, Name: name}); err != nil {
		return netdev.Link{}, err
	}
	link, err := f.address(name, ns, addrs)
	if err != nil {
		return netdev.Link{}, fmt.Errorf("port %s: %w", p.ID, err)
	}
	return link, nil
}

func (f *Fabric) address(name string, ns *netns.NS, addrs []netip.Prefix) (netdev.Link, error) {
	h, err := netdev.Open(ns)
	if err != nil {
		return netdev.Link{}, err
	}
	defer h.Close()
	changed, err := h.SetAddrs(name, addrs)
	if err != nil {
		return netdev.Link{}, err
	}
	if changed {
		f.log.Info("addresses set", "netns", ns.Name(), "link", name, "addrs", addrs)
	}
	if err := h.Set(name, netdev.Settings{Up: true}); err != nil {
		return netdev.Link{}, err
	}
	return h.Link(name)
}

// Sockets says what sockets in ns, or on one of its links, are bound to, for
// [daemon.Item]: sockets made for another text are dead.
func Sockets(ns *netns.NS, link int) (string, error) {
	id, err := identify(ns)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s/%d:%d/%d", id.Boot, id.NS.Dev, id.NS.Ino, link), nil
}
