package fabric

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"imprint/base/netdev"
	"imprint/base/netns"
	"imprint/host/cloud"
)

// Sweep removes the ports of one class that are not in keep, what their rules
// left behind, and networks without ports. Everything else stays, also what
// other classes plugged.
func (f *Fabric) Sweep(class Class, keep map[cloud.PortID]bool) error {
	err := f.with(false, func(s *session) error { return s.sweep(class, keep) })
	if err != nil {
		return fmt.Errorf("sweep %s ports: %w", class, err)
	}
	return nil
}

func (s *session) sweep(class Class, keep map[cloud.PortID]bool) error {
	links, err := s.h.Links()
	if err != nil {
		return err
	}
	var failed error
	for _, l := range links {
		id, ours := s.unmark(string(class), l.Alias)
		if ours && !keep[cloud.PortID(id)] || l.Kind == "veth" && unfinished(l) {
			failed = errors.Join(failed, s.unplug(l.Name))
		}
	}
	if links, err = s.h.Links(); err != nil {
		return errors.Join(failed, err)
	}
	if class == Instance {
		failed = errors.Join(failed, s.sweepGuards(links))
	}
	return errors.Join(failed, s.sweepNetworks(links))
}

// sweepGuards removes the rules of taps that went with their namespace.
func (s *session) sweepGuards(links []netdev.Link) error {
	there := map[string]bool{chainIn: true}
	for _, l := range links {
		there[l.Name] = true
	}
	t, gone := s.table(), false
	for _, c := range t.Chains {
		if tap, _ := ofTap(c.Name); !there[tap] {
			t, gone = without(t, tap), true
		}
	}
	if !gone {
		return nil
	}
	return s.apply(t)
}

// Remove deletes the fabric with everything in it. It refuses while a bridge or
// a port that others made lies there; what the kernel itself puts into every
// namespace (lo, tunl0, …) goes with it.
func (f *Fabric) Remove() error { return f.remove(func(netdev.Link) bool { return false }) }

// RemoveIdle is Remove that leaves a fabric in which ports are plugged: other
// agents of the node still need it.
func (f *Fabric) RemoveIdle() error {
	return f.remove(func(l netdev.Link) bool {
		return l.Kind == "veth" && !unfinished(l) && strings.HasPrefix(l.Alias, f.maker+":")
	})
}

// remove deletes the fabric unless one of its links is in use.
func (f *Fabric) remove(inUse func(netdev.Link) bool) error {
	err := f.with(false, func(s *session) error {
		links, err := s.h.Links()
		if err != nil || slices.ContainsFunc(links, inUse) {
			return err
		}
		for _, l := range links {
			if foreign := l.Kind == "veth" || l.Kind == "bridge" || l.Master != 0; foreign && !unfinished(l) && !strings.HasPrefix(l.Alias, f.maker+":") {
				return fmt.Errorf("link %s in namespace %s: %w", l.Name, s.ns.Name(), ErrForeign)
			}
		}
		for _, l := range links {
			if !strings.HasPrefix(l.Alias, f.maker+":") && !unfinished(l) {
				continue // the kernel's own, such as lo and tunl0
			}
			if err := s.h.DeleteLink(l.Name); err != nil && !errors.Is(err, netdev.ErrNotFound) {
				return err
			}
		}
		return f.owned.remove(f.Namespace())
	})
	if err != nil {
		return fmt.Errorf("remove fabric: %w", err)
	}
	return nil
}

// EnsureNamespace opens the named namespace for an agent, and makes it, with
// its loopback up, if it is missing. One that others made is [ErrForeign].
func (f *Fabric) EnsureNamespace(name string) (*netns.NS, error) {
	unlock, err := f.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	ns, made, err := f.owned.ensure(name)
	if err != nil {
		return nil, err
	}
	if made {
		f.log.Info("namespace made", "netns", name)
	}
	h, err := netdev.Open(ns)
	if err == nil {
		err = h.Set("lo", netdev.Settings{Up: true})
		h.Close()
	}
	if err != nil {
		ns.Close()
		return nil, err
	}
	return ns, nil
}

// RemoveNamespace removes a namespace that is ours; one that others have made
// in its place stays.
func (f *Fabric) RemoveNamespace(name string) error {
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	f.log.Info("namespace removed", "netns", name)
	return f.owned.remove(name)
}

// SweepNamespaces removes our namespaces that are called kind and an id which
// is not wanted. One that fails does not stop the next.
func (f *Fabric) SweepNamespaces(kind string, wanted func(id string) bool) error {
	names, failed := f.Namespaces()
	for _, name := range names {
		if id, is := strings.CutPrefix(name, f.Name(kind)); is && !wanted(id) {
			failed = errors.Join(failed, f.RemoveNamespace(name))
		}
	}
	return failed
}

// Namespaces returns the names of all namespaces that are ours, the fabric's
// own among them, sorted.
func (f *Fabric) Namespaces() ([]string, error) {
	unlock, err := f.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	return f.owned.names()
}
