package computeagent

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"

	"imprint/base/netns"
	"imprint/host/cloud"
	"imprint/host/fabric"
)

// plug is a port of an instance, as it is to be connected.
type plug struct {
	port cloud.DesiredPort
	mtu  int
	name string // of the NIC
}

// plugs returns the ports of an instance in the order of its NICs. A port that
// is down, or gone from the slice, leaves its NIC out.
func (w *worker) plugs(s cloud.Slice, d *cloud.DesiredInstance) []plug {
	if d == nil {
		return nil
	}
	var list []plug
	for i, id := range d.Ports {
		port, ok := s.Ports[id]
		network, known := s.Networks[port.NetworkID]
		if ok && known && port.Local {
			list = append(list, plug{port: port, mtu: network.MTU, name: fmt.Sprintf("eth%d", i)})
		}
	}
	return list
}

func portIDs(plugs []plug) []cloud.PortID {
	ids := make([]cloud.PortID, 0, len(plugs))
	for _, p := range plugs {
		ids = append(ids, p.port.ID)
	}
	return ids
}

// plugAll connects the ports into a namespace that stays the caller's.
func (w *worker) plugAll(file *os.File, plugs []plug) error {
	ns, err := netns.OpenPath(fmt.Sprintf("/proc/self/fd/%d", file.Fd()))
	if err != nil {
		return err
	}
	defer ns.Close()
	for _, p := range plugs {
		err := w.agent.config.Ports.Plug(fabric.Plug{Port: p.port, MTU: p.mtu, Target: ns, Name: p.name})
		if err != nil {
			return err
		}
		w.plugged[p.port.ID] = p
		w.reportPort(p.port.ID, true)
	}
	return nil
}

// unplug disconnects ports.
func (w *worker) unplug(ids []cloud.PortID) error {
	var failed error
	for _, id := range ids {
		if err := w.agent.config.Ports.Unplug(id); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		delete(w.plugged, id)
		if w.toldPort[id] {
			w.reportPort(id, false)
		}
	}
	return failed
}

// replug makes the ports of a running instance what they should be.
func (w *worker) replug(m *memory, plugs []plug) error {
	wanted := portIDs(plugs)
	gone := slices.DeleteFunc(slices.Clone(m.Ports), func(id cloud.PortID) bool { return slices.Contains(wanted, id) })
	if err := w.unplug(gone); err != nil {
		return err
	}
	if !slices.Equal(m.Ports, wanted) {
		m.Ports = wanted
		if err := w.remember(*m); err != nil {
			return err
		}
	}
	changed := slices.DeleteFunc(slices.Clone(plugs), w.connected)
	if len(changed) == 0 {
		return nil
	}
	ns, err := w.agent.config.Driver.NetNS(w.id)
	if err != nil {
		return err
	}
	defer ns.Close()
	return w.plugAll(ns, changed)
}

// connected reports whether p was connected as it is wanted.
func (w *worker) connected(p plug) bool {
	last, ok := w.plugged[p.port.ID]
	return ok && reflect.DeepEqual(last, p)
}
