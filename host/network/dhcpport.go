package network

import (
	"slices"

	"github.com/google/uuid"

	"imprint/host/cloud"
)

// dhcpPort makes the network's DHCP port fit its subnets, which are as they
// will be: it has an address on each subnet with DHCP, and is there only while
// there is one. neutron: agent/linux/dhcp.py setup_dhcp_port.
func (d *draft) dhcpPort(n *cloud.Network, subnets []*cloud.Subnet) error {
	var wanted []*cloud.Subnet
	for _, s := range subnets {
		if s.DHCP {
			wanted = append(wanted, s)
		}
	}
	old := d.dhcpPortOf(n.NetworkID)
	switch {
	case len(wanted) == 0 && old == nil:
		return nil
	case len(wanted) == 0:
		d.free(old)
		d.remove = append(d.remove, old)
		return nil
	}
	p := d.newDHCPPort(n)
	if old != nil {
		*p = *old
	}
	d.free(p)
	if err := d.serve(p, wanted); err != nil {
		return err
	}
	if old == nil || !slices.Equal(old.FixedIPs, p.FixedIPs) {
		d.putPort(p)
	}
	return nil
}

func (d *draft) dhcpPortOf(n cloud.NetworkID) *cloud.Port {
	for _, p := range d.PortsOn(n) {
		if p.DeviceOwner == cloud.OwnerDHCP {
			return p
		}
	}
	return nil
}

func (d *draft) newDHCPPort(n *cloud.Network) *cloud.Port {
	host := d.networkNode()
	return &cloud.Port{PortID: cloud.PortID(cloud.NewUUID()), NetworkID: n.NetworkID, ProjectID: n.ProjectID,
		MAC: d.newMAC(n.NetworkID), DeviceOwner: cloud.OwnerDHCP, Host: host,
		DeviceID: "dhcp" + uuid.NewSHA1(uuid.NameSpaceDNS, []byte(host)).String() + "-" + string(n.NetworkID)}
}

// serve keeps the port's addresses on the subnets and adds what is missing:
// the first free one, or where NICs make their own, its own.
func (d *draft) serve(p *cloud.Port, subnets []*cloud.Subnet) error {
	var ips []cloud.FixedIP
	for _, s := range subnets {
		i := slices.IndexFunc(p.FixedIPs, func(ip cloud.FixedIP) bool { return ip.SubnetID == s.SubnetID })
		if i >= 0 {
			ips = append(ips, p.FixedIPs[i])
			continue
		}
		addr := d.pick(s, true)
		if automatic(s) {
			addr = eui64(s.CIDR, p.MAC)
		}
		if !addr.IsValid() {
			return exhausted(p.NetworkID)
		}
		ips = append(ips, cloud.FixedIP{SubnetID: s.SubnetID, Addr: addr})
	}
	p.FixedIPs = ips
	return nil
}

// newMAC returns a hardware address that no port of the network has.
func (d *draft) newMAC(n cloud.NetworkID) cloud.MAC {
	for {
		if mac := cloud.MAC(cloud.NewMAC().String()); !d.macInUse(n, mac) {
			return mac
		}
	}
}
