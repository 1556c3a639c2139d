package fabric

import (
	"errors"
	"fmt"

	"imprint/base/netdev"
	"imprint/base/netns"
	"imprint/host/cloud"
)

func tapName(id cloud.PortID) string { return "tap" + cloud.Short(id) }

// Plug connects a port: a veth pair, one end on the network's bridge, the
// other in p.Target as p.Name with the port's MAC, down. An instance's port is
// open to nothing but its own addresses from its first moment on. A port that
// is plugged already is repaired; one that is plugged elsewhere moves. What an
// instance itself did to its end is left alone.
func (f *Fabric) Plug(p Plug) error {
	if err := p.check(); err != nil {
		return fmt.Errorf("plug port %s: %w", p.Port.ID, err)
	}
	err := f.with(true, func(s *session) error { return s.plug(p) })
	if err != nil {
		return fmt.Errorf("plug port %s: %w", p.Port.ID, err)
	}
	return nil
}

func (p Plug) check() error {
	switch {
	case !cloud.IsUUID(string(p.Port.ID)):
		return errors.New("id is not a UUID")
	case len(p.Port.MAC.Hardware()) != 6:
		return fmt.Errorf("%q is not a MAC", p.Port.MAC)
	case p.Name == "" || len(p.Name) > 15:
		return fmt.Errorf("%q is not the name of a link", p.Name)
	case p.Target == nil:
		return errors.New("no namespace to plug it into")
	}
	return nil
}

func (s *session) plug(p Plug) error {
	if err := s.ensureNetwork(p.Port.NetworkID, p.MTU); err != nil {
		return err
	}
	class := ClassOf(p.Port)
	tap, mark := tapName(p.Port.ID), s.mark(string(class), string(p.Port.ID))
	if err := s.ensurePair(p, tap, mark); err != nil {
		return err
	}
	if err := s.guard(p.Port, tap); err != nil {
		return err
	}
	group := uint32(groupTrusted)
	if class == Instance {
		group = groupOurs
	}
	err := s.h.Set(tap, netdev.Settings{Alias: mark, MTU: p.MTU, Group: group, Master: bridgeName(p.Port.NetworkID)})
	if err != nil {
		return err
	}
	if err := s.h.Pin(tap, p.Port.MAC.Hardware()); err != nil {
		return err
	}
	return s.h.Set(tap, netdev.Settings{Up: true})
}

// ensurePair makes the pair unless it is there with its other end in p.Target.
func (s *session) ensurePair(p Plug, tap, mark string) error {
	target, err := netdev.Open(p.Target)
	if err != nil {
		return err
	}
	defer target.Close()
	link, err := s.find(tap, mark)
	if err == nil {
		end, found, err := s.otherEnd(link, p.Target, target)
		if err != nil {
			return err
		}
		if found {
			return repair(target, end, p, mark)
		}
		s.log.Info("port moves", "port_id", p.Port.ID, "netns", p.Target.Name())
		err = s.h.DeleteLink(tap)
		if err != nil && !errors.Is(err, netdev.ErrNotFound) {
			return err
		}
	} else if !errors.Is(err, netdev.ErrNotFound) {
		return err
	}
	return s.addPair(target, p, tap, mark)
}

func (s *session) addPair(target *netdev.Handle, p Plug, tap, mark string) error {
	if taken, err := target.Link(p.Name); !errors.Is(err, netdev.ErrNotFound) {
		return errors.Join(err, fmt.Errorf("link %s in namespace %s, marked %q: %w", p.Name, p.Target.Name(), taken.Alias, ErrForeign))
	}
	err := s.h.AddVeth(netdev.Veth{
		Name: tap, MTU: p.MTU, Group: groupOurs,
		PeerName: p.Name, PeerMAC: p.Port.MAC.Hardware(), PeerNS: p.Target,
	})
	if err != nil {
		return err
	}
	s.log.Info("port plugged", "port_id", p.Port.ID, "link", tap, "netns", p.Target.Name())
	return target.Set(p.Name, netdev.Settings{Alias: mark})
}

// otherEnd finds the other end of a tap if it lies in ns.
func (s *session) otherEnd(tap netdev.Link, ns *netns.NS, target *netdev.Handle) (netdev.Link, bool, error) {
	number, err := s.h.PeerNS(ns)
	if err != nil || number < 0 || tap.PeerNS != number {
		return netdev.Link{}, false, err
	}
	links, err := target.Links()
	for _, l := range links {
		if l.Kind == "veth" && l.Index == tap.Peer {
			return l, true, nil
		}
	}
	return netdev.Link{}, false, err
}

// repair mends what is ours of the other end: of an instance's nothing.
func repair(target *netdev.Handle, end netdev.Link, p Plug, mark string) error {
	if ClassOf(p.Port) == Instance {
		return nil
	}
	return target.Set(end.Name, netdev.Settings{Name: p.Name, Alias: mark, MTU: p.MTU, MAC: p.Port.MAC.Hardware()})
}

// Unplug removes a port, whoever plugged it; one that is not plugged is no
// error.
func (f *Fabric) Unplug(id cloud.PortID) error {
	err := f.with(false, func(s *session) error {
		for _, class := range []Class{Instance, Router, DHCP} {
			_, err := s.find(tapName(id), s.mark(string(class), string(id)))
			if err == nil {
				return s.unplug(tapName(id))
			}
			if errors.Is(err, netdev.ErrNotFound) {
				return s.unguard(tapName(id))
			}
			if class == DHCP {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("unplug port %s: %w", id, err)
	}
	return nil
}

func (s *session) unplug(tap string) error {
	s.log.Info("port unplugged", "link", tap)
	if err := s.h.DeleteLink(tap); err != nil && !errors.Is(err, netdev.ErrNotFound) {
		return err
	}
	return s.unguard(tap)
}
