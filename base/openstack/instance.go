package openstack

import "net/netip"

// Instance is everything that the documents of one instance are made of. It is
// a plain value; the documents of equal values are equal but for random_seed.
// Whoever holds one may share it as long as nobody changes it.
type Instance struct {
	UUID      string `json:"uuid"`
	ProjectID string `json:"project_id"`
	// Name is the display name as given.
	Name string `json:"name"`
	// Hostname is the whole host name, with the domain: "c1.novalocal".
	Hostname         string `json:"hostname"`
	AvailabilityZone string `json:"availability_zone"`
	LaunchIndex      int    `json:"launch_index"`
	// Meta are the properties given at launch; they appear in the order of
	// their names.
	Meta map[string]string `json:"meta,omitempty"`
	// Key is nil for an instance without a key pair.
	Key *Key `json:"key,omitempty"`
	// UserData is nil for an instance without; empty data is data.
	UserData []byte `json:"user_data,omitzero"`
	// Password is what the instance set as its password, usually encrypted for
	// its key pair; "" while it has set none.
	Password string `json:"password,omitempty"`
	// VendorData is the site's static vendor data.
	VendorData VendorData `json:"vendor_data,omitzero"`
	// ImageID and BootRoles are told to dynamic vendor data alone: the image's
	// UUID, and the roles of who launched the instance with commas between.
	ImageID   string `json:"image_id,omitempty"`
	BootRoles string `json:"boot_roles,omitempty"`
	// Ports in the order of the NICs.
	Ports []Port `json:"ports,omitempty"`
	// CompleteNetwork has network_data.json tell all of the ports, not only
	// what Nova tells.
	CompleteNetwork bool     `json:"complete_network,omitempty"`
	Devices         []Device `json:"devices,omitempty"`
	DedicatedCPUs   []int    `json:"dedicated_cpus,omitempty"`
	// EC2 holds what only the EC2 tree tells.
	EC2 EC2 `json:"ec2"`
	// Files and AdminPass are told by the config drive alone. The files keep
	// their order; AdminPass is "" for none.
	Files     []InjectedFile `json:"files,omitempty"`
	AdminPass string         `json:"admin_pass,omitempty"`
}

// EC2 is the part of an [Instance] that only the EC2 tree tells.
type EC2 struct {
	InstanceID string `json:"instance_id"`          // i-00000001
	ImageID    string `json:"image_id"`             // ami-00000001
	KernelID   string `json:"kernel_id,omitempty"`  // aki-00000001; "" for none
	RamdiskID  string `json:"ramdisk_id,omitempty"` // ari-00000001; "" for none
	// InstanceType is the flavor's name.
	InstanceType  string `json:"instance_type"`
	ReservationID string `json:"reservation_id"`
	// SecurityGroups are lines as they are told. Nova repeats the list for
	// each port.
	SecurityGroups []string     `json:"security_groups,omitempty"`
	PublicIPs      []netip.Addr `json:"public_ips,omitempty"`
	// BlockDevices maps names (ami, root, swap, ephemeral0) to devices.
	BlockDevices map[string]string `json:"block_devices,omitempty"`
}

// InjectedFile is a file that is to be written into the instance's system once.
type InjectedFile struct {
	Path    string `json:"path"` // in the instance, as it was given
	Content []byte `json:"content"`
}

// Key is the public half of a key pair.
type Key struct {
	Name string `json:"name"`
	Type string `json:"type"` // ssh or x509
	Data string `json:"data"`
}

// Port is a NIC and what its network says of it.
type Port struct {
	ID        string `json:"id"`
	NetworkID string `json:"network_id"`
	MAC       string `json:"mac"`
	// LinkID names the link: the tap device's name.
	LinkID string `json:"link_id"`
	// LinkType is the VIF type: bridge, ovs, tap.
	LinkType string `json:"link_type"`
	// MTU of the network in bytes; 0 when it is not known.
	MTU int `json:"mtu,omitempty"`
	// Injected says that the network's configuration is to be written into the
	// instance (nova.conf flat_injected); it is used where DHCP is off.
	Injected bool `json:"injected,omitempty"`
	// Subnets that the port has an address on. As in Nova only the first of
	// each address family is told, but for [Instance.CompleteNetwork].
	Subnets []Subnet `json:"subnets,omitempty"`
	// Bond and VLAN are told with [Instance.CompleteNetwork] alone: the NICs
	// that make up the port, and the port that it is a sub-port of. Nil for
	// none.
	Bond *Bond `json:"bond,omitempty"`
	VLAN *VLAN `json:"vlan,omitempty"`
}

// Bond is a port made of several NICs.
type Bond struct {
	Mode string   `json:"mode"`  // 802.3ad, active-backup …
	MACs []string `json:"links"` // hardware addresses of the NICs
	// MIIMon is in milliseconds, 0 for the system's default.
	MIIMon     int    `json:"miimon,omitempty"`
	HashPolicy string `json:"xmit_hash_policy,omitempty"`
}

// VLAN makes a port one of the sub-ports of a trunk.
type VLAN struct {
	ID     int    `json:"segmentation_id"` // 1 to 4094
	Parent string `json:"parent"`          // the ID of the trunk's own port
}

// Subnet is one of a port's subnets with the port's addresses on it.
type Subnet struct {
	CIDR netip.Prefix `json:"cidr"`
	// Gateway is invalid for a subnet without one.
	Gateway netip.Addr `json:"gateway,omitzero"`
	DHCP    bool       `json:"dhcp,omitempty"`
	// AddressMode is ipv6_address_mode: slaac, dhcpv6-stateful,
	// dhcpv6-stateless, or "".
	AddressMode string        `json:"address_mode,omitempty"`
	DNS         []netip.Addr  `json:"dns,omitempty"`
	Routes      []SubnetRoute `json:"routes,omitempty"`
	Addrs       []netip.Addr  `json:"addrs,omitempty"`
	// Providers are the metadata providers (load balancers) that the network
	// is connected to; no document has them.
	Providers []string `json:"advanced_service_providers,omitempty"`
}

// SubnetRoute is a host route of a subnet.
type SubnetRoute struct {
	Destination netip.Prefix `json:"destination"`
	Gateway     netip.Addr   `json:"gateway"`
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
