package openstack

import "net/netip"

// Instance is everything that the documents of one instance are made of. It is
// a plain value; the documents of equal values are equal but for random_seed.
// Whoever holds one may share it as long as nobody changes it.
type Instance struct {
	UUID      string
	ProjectID string
	// Name is the display name as given.
	Name string
	// Hostname is the whole host name, with the domain: "c1.novalocal".
	Hostname         string
	AvailabilityZone string
	LaunchIndex      int
	// Meta are the properties given at launch; they appear in the order of
	// their names.
	Meta map[string]string
	// Key is nil for an instance without a key pair.
	Key *Key
	// UserData is nil for an instance without; empty data is data.
	UserData []byte
	// VendorData is the site's static vendor data.
	VendorData VendorData
	// Ports in the order of the NICs.
	Ports         []Port
	Devices       []Device
	DedicatedCPUs []int
	// EC2 holds what only the EC2 tree tells.
	EC2 EC2
}

// EC2 is the part of an [Instance] that only the EC2 tree tells.
type EC2 struct {
	InstanceID string // i-00000001
	ImageID    string // ami-00000001
	KernelID   string // aki-00000001; "" for none
	RamdiskID  string // ari-00000001; "" for none
	// InstanceType is the flavor's name.
	InstanceType  string
	ReservationID string
	// SecurityGroups are lines as they are told. Nova repeats the list for
	// each port.
	SecurityGroups []string
	PublicIPs      []netip.Addr
	// BlockDevices maps names (ami, root, swap, ephemeral0) to devices.
	BlockDevices map[string]string
}

// Key is the public half of a key pair.
type Key struct {
	Name string `json:"name"`
	Type string `json:"type"` // ssh or x509
	Data string `json:"data"`
}

// Port is a NIC and what its network says of it.
type Port struct {
	ID        string
	NetworkID string
	MAC       string
	// LinkID names the link: the tap device's name.
	LinkID string
	// LinkType is the VIF type: bridge, ovs, tap.
	LinkType string
	// MTU of the network in bytes; 0 when it is not known.
	MTU int
	// Injected says that the network's configuration is to be written into the
	// instance (nova.conf flat_injected); it is used where DHCP is off.
	Injected bool
	// Subnets that the port has an address on. As in Nova only the first of
	// each address family is told.
	Subnets []Subnet
}

// Subnet is one of a port's subnets with the port's addresses on it.
type Subnet struct {
	CIDR netip.Prefix
	// Gateway is invalid for a subnet without one.
	Gateway netip.Addr
	DHCP    bool
	// AddressMode is ipv6_address_mode: slaac, dhcpv6-stateful,
	// dhcpv6-stateless, or "".
	AddressMode string
	DNS         []netip.Addr
	Routes      []SubnetRoute
	Addrs       []netip.Addr
}

// SubnetRoute is a host route of a subnet.
type SubnetRoute struct {
	Destination netip.Prefix
	Gateway     netip.Addr
}

// first returns the port's first subnet of an address family, as Nova chooses
// it (nova: virt/netutils.py, _get_first_network); nil when there is none.
func (p Port) first(v4 bool) *Subnet {
	for i := range p.Subnets {
		if p.Subnets[i].CIDR.Addr().Is4() == v4 {
			return &p.Subnets[i]
		}
	}
	return nil
}

// firstIPv4 returns the instance's first IPv4 address; invalid for none.
func (i *Instance) firstIPv4() netip.Addr {
	for _, p := range i.Ports {
		for _, s := range p.Subnets {
			for _, a := range s.Addrs {
				if a.Is4() {
					return a
				}
			}
		}
	}
	return netip.Addr{}
}
