package network

import (
	"slices"
	"strings"

	"imprint/host/cloud"
)

// AddPorts returns the transaction that makes new ports for c. The ports come
// with id, network, project, device and host; they are given a hardware
// address and addresses, those in FixedIPs where there are any: an address, a
// subnet, or both. Nothing is stored yet; the transaction must be committed on
// the state of m, together with what else belongs to it.
func (r *Role) AddPorts(m *cloud.Model, c cloud.Caller, ports ...*cloud.Port) (cloud.Txn, error) {
	d := newDraft(m)
	for _, p := range ports {
		wishes := p.FixedIPs
		if err := d.addPort(c, p, wishes, len(wishes) > 0); err != nil {
			return cloud.Txn{}, err
		}
	}
	return d.txn(), nil
}

// BindPorts returns the transaction that gives ports of c's, which nobody may
// use yet, to a device on a host.
func (r *Role) BindPorts(m *cloud.Model, c cloud.Caller, device, owner, host string, ids ...cloud.PortID) (cloud.Txn, error) {
	d := newDraft(m)
	for _, id := range ids {
		old := d.Ports[id]
		if old == nil || !c.Sees(old.ProjectID) {
			return cloud.Txn{}, noPort(id)
		}
		if old.DeviceID != "" {
			return cloud.Txn{}, portInUse(old)
		}
		p := *old
		p.DeviceID, p.DeviceOwner, p.Host = device, owner, host
		d.putPort(&p)
	}
	return d.txn(), nil
}

// ReleasePorts returns the transaction that takes ports away from a device:
// those for which made reports true are deleted, the others are free again.
// Ports that are gone, or another device's, are left out.
func (r *Role) ReleasePorts(m *cloud.Model, device string, made func(cloud.PortID) bool, ids ...cloud.PortID) cloud.Txn {
	d := newDraft(m)
	for _, id := range ids {
		old := d.Ports[id]
		if old == nil || old.DeviceID != device {
			continue
		}
		if made(id) {
			d.removePort(old)
			continue
		}
		p := *old
		p.DeviceID, p.DeviceOwner, p.Host, p.Up = "", "", "", false
		d.putPort(&p)
	}
	return d.txn()
}

// NetworksOf returns the networks that servers of c's project may be attached
// to without being named, oldest first: its own and those shared with it.
func (r *Role) NetworksOf(m *cloud.Model, c cloud.Caller) []*cloud.Network {
	return slices.DeleteFunc(cloud.Sorted(m.Networks), func(n *cloud.Network) bool {
		return n.ProjectID != c.ProjectID && !n.Shared
	})
}

// SecurityGroup returns the name of the security group of project p that is
// called by name or id, and whether there is one.
func (r *Role) SecurityGroup(p cloud.ProjectID, nameOrID string) (string, bool) {
	return defaultGroupName, nameOrID == defaultGroupName || strings.EqualFold(nameOrID, defaultGroup(p))
}

// ReportPort returns the transaction that notes what node said of a port; it
// is empty when the port is not the node's or says so already.
func (r *Role) ReportPort(m *cloud.Model, node string, report cloud.PortReport) cloud.Txn {
	old := m.Ports[report.ID]
	if old == nil || old.Host != node || old.Up == report.Up {
		return cloud.Txn{}
	}
	p := *old
	p.Up = report.Up
	p.RevisionNumber++
	return cloud.Txn{Put: []cloud.Record{&p}}
}
