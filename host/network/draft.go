package network

import (
	"net/netip"

	"imprint/host/cloud"
)

// draft is a transaction in the making: what was decided so far lies over the
// model. It lives for one decision.
type draft struct {
	*cloud.Model
	networks map[cloud.NetworkID]*cloud.Network // that will be written
	put      []cloud.Record
	remove   []cloud.Record
	based    []cloud.Record // that must stay as they are
	taken    map[networkAddr]bool
	freed    map[networkAddr]bool
	macs     map[networkMAC]bool
}

type networkAddr struct {
	network cloud.NetworkID
	addr    netip.Addr
}

type networkMAC struct {
	network cloud.NetworkID
	mac     cloud.MAC
}

func newDraft(m *cloud.Model) *draft {
	return &draft{Model: m, networks: map[cloud.NetworkID]*cloud.Network{}, taken: map[networkAddr]bool{},
		freed: map[networkAddr]bool{}, macs: map[networkMAC]bool{}}
}

func (d *draft) txn() cloud.Txn {
	tx := cloud.Txn{Put: d.put, Delete: d.remove, Unchanged: d.based}
	for _, n := range d.networks {
		tx.Put = append(tx.Put, n)
	}
	return tx
}

// touch makes the draft write the network, so that no other decision about its
// things passes this one. It returns the copy that will be written.
func (d *draft) touch(n *cloud.Network) *cloud.Network {
	if c := d.networks[n.NetworkID]; c != nil {
		return c
	}
	c := *n
	d.networks[n.NetworkID] = &c
	return &c
}

// putPort writes a port and holds its addresses.
func (d *draft) putPort(p *cloud.Port) {
	p.RevisionNumber++
	for _, ip := range p.FixedIPs {
		d.taken[networkAddr{p.NetworkID, ip.Addr}] = true
	}
	d.macs[networkMAC{p.NetworkID, p.MAC}] = true
	d.put = append(d.put, p)
}

// free lets go of a stored port's addresses, which may be taken again in this
// draft.
func (d *draft) free(p *cloud.Port) {
	for _, ip := range p.FixedIPs {
		d.freed[networkAddr{p.NetworkID, ip.Addr}] = true
	}
}

func (d *draft) inUse(n cloud.NetworkID, a netip.Addr) bool {
	key := networkAddr{n, a}
	return d.taken[key] || (!d.freed[key] && d.PortAt(n, a) != nil)
}

func (d *draft) macInUse(n cloud.NetworkID, mac cloud.MAC) bool {
	if d.macs[networkMAC{n, mac}] {
		return true
	}
	for _, p := range d.PortsOn(n) {
		if p.MAC == mac {
			return true
		}
	}
	return false
}

// networkNode is the node that runs routers and DHCP, "" while there is none.
func (d *draft) networkNode() string {
	for _, n := range cloud.Sorted(d.Nodes) {
		if n.Network {
			return n.Name
		}
	}
	return ""
}
