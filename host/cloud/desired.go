package cloud

import (
	"encoding/json"
	"maps"
	"net/netip"
	"time"
)

// Slice is everything that one node is to realise, and no more. It is a value:
// agents get a new one on every change and must not alter it.
type Slice struct {
	Networks  map[NetworkID]DesiredNetwork
	Routers   map[RouterID]DesiredRouter
	Ports     map[PortID]DesiredPort
	Instances map[ServerID]DesiredInstance
}

// NewSlice returns an empty slice with its maps made.
func NewSlice() Slice {
	return Slice{
		Networks:  map[NetworkID]DesiredNetwork{},
		Routers:   map[RouterID]DesiredRouter{},
		Ports:     map[PortID]DesiredPort{},
		Instances: map[ServerID]DesiredInstance{},
	}
}

// Clone returns a copy whose maps are its own.
func (s Slice) Clone() Slice {
	return Slice{maps.Clone(s.Networks), maps.Clone(s.Routers), maps.Clone(s.Ports), maps.Clone(s.Instances)}
}

// DesiredNetwork is a network that the node carries. On a network node it is
// also served: DHCPPort is set when DHCP is wanted there.
type DesiredNetwork struct {
	ID        NetworkID       `json:"id"`
	ProjectID ProjectID       `json:"project_id"`
	MTU       int             `json:"mtu"`
	Subnets   []DesiredSubnet `json:"subnets"`
	// DHCPPort is the network's DHCP port (a key of Slice.Ports), "" for none.
	DHCPPort PortID `json:"dhcp_port,omitempty"`
	// Hosts are all ports of the network with the addresses and the name that
	// DHCP gives them, the DHCP port itself excluded.
	Hosts []Host `json:"hosts,omitempty"`
}

// DesiredSubnet is a subnet of a [DesiredNetwork].
type DesiredSubnet struct {
	ID      SubnetID     `json:"id"`
	CIDR    netip.Prefix `json:"cidr"`
	Gateway netip.Addr   `json:"gateway"` // invalid: none
	DHCP    bool         `json:"dhcp"`
	DNS     []netip.Addr `json:"dns,omitempty"`
	// HostRoutes as the subnet has them.
	HostRoutes []Route `json:"host_routes,omitempty"`
	// Router is the address of the router interface on the subnet that
	// instances use as gateway; invalid while no router is attached.
	Router netip.Addr `json:"router"`
	// RAMode says how a router of ours advertises an IPv6 subnet (slaac,
	// dhcpv6-stateful or dhcpv6-stateless; "": it does not), AddrMode how
	// instances get their addresses there. neutron: ipv6_ra_mode,
	// ipv6_address_mode
	RAMode   string `json:"ra_mode,omitempty"`
	AddrMode string `json:"addr_mode,omitempty"`
}

// Host is a port as DHCP serves it.
type Host struct {
	PortID PortID       `json:"port_id"`
	MAC    MAC          `json:"mac"`
	Addrs  []netip.Addr `json:"addrs"`
	// Options are the port's own.
	Options []DHCPOption `json:"options,omitempty"`
}

// DesiredRouter is a router that the node runs.
type DesiredRouter struct {
	ID        RouterID  `json:"id"`
	ProjectID ProjectID `json:"project_id"`
	// Ports are its interfaces, keys of Slice.Ports.
	Ports []PortID `json:"ports"`
	// Gateway is its port on an external network (a key of Slice.Ports), "" for
	// none. Nobody behind it is the router's to serve.
	Gateway PortID `json:"gateway,omitempty"`
	// SNAT says that what leaves by the gateway gets the gateway's address.
	SNAT bool `json:"snat,omitempty"`
	// Floating are the addresses that the gateway has besides its own, and what
	// they stand for.
	Floating []DesiredFloating `json:"floating,omitempty"`
}

// DesiredFloating is a floating address and the address that it stands for.
type DesiredFloating struct {
	Addr  netip.Addr `json:"addr"`
	Fixed netip.Addr `json:"fixed"`
}

// DesiredPort is a port that the node plugs (Local) or has to know because a
// router or a DHCP namespace of the node serves its network.
type DesiredPort struct {
	ID        PortID     `json:"id"`
	NetworkID NetworkID  `json:"network_id"`
	ProjectID ProjectID  `json:"project_id"`
	MAC       MAC        `json:"mac"`
	Addrs     []PortAddr `json:"addrs"`
	Owner     string     `json:"owner"`     // the device's owner, such as network:dhcp
	DeviceID  string     `json:"device_id"` // server, router or DHCP device
	Local     bool       `json:"local"`
}

// PortAddr is an address of a port with its subnet's prefix length.
type PortAddr struct {
	SubnetID SubnetID     `json:"subnet_id"`
	Prefix   netip.Prefix `json:"prefix"` // the address itself, not masked
}

// Compute reports whether the port is a server's NIC.
func (p DesiredPort) Compute() bool {
	return len(p.Owner) >= len(OwnerComputePrefix) && p.Owner[:len(OwnerComputePrefix)] == OwnerComputePrefix
}

// DesiredInstance is a server that the node runs.
type DesiredInstance struct {
	ID        ServerID  `json:"id"`
	ProjectID ProjectID `json:"project_id"`
	Name      string    `json:"name"`
	// Tree names the root file system of the node's own list.
	Tree string `json:"tree"`
	RAM  int    `json:"ram"` // MiB
	CPUs int    `json:"cpus"`
	// Ports in the order of the NICs, keys of Slice.Ports.
	Ports []PortID `json:"ports"`
	// ConfigDrive says that the instance has a config drive.
	ConfigDrive bool `json:"config_drive,omitempty"`
	// Drive is what the drive tells, in the JSON form of base/openstack's
	// Instance, user data and injected files included: not for logs. It is nil
	// without a drive, and while the documents are not there yet.
	Drive json.RawMessage `json:"drive,omitempty"`
	// DriveGeneration higher than that of the drive that was made last asks to
	// make it anew.
	DriveGeneration int64 `json:"drive_generation,omitempty"`
	Power           Power `json:"power"`
	// RebootGeneration higher than the last one done asks for a reboot of
	// RebootType (SOFT or HARD). The disk is kept.
	RebootGeneration int64  `json:"reboot_generation"`
	RebootType       string `json:"reboot_type,omitempty"`
	// RebuildGeneration higher than the last one done asks to begin again, with
	// a new disk and a new config drive; Power says how that ends.
	RebuildGeneration int64 `json:"rebuild_generation,omitempty"`
	// Deleting asks to stop the instance and remove its folder; the report
	// [InstanceDeleted] ends it.
	Deleting bool `json:"deleting,omitempty"`
}

// InstanceState is what a node says of an instance.
type InstanceState string

// The states of an instance.
const (
	InstanceBuilding InstanceState = "building" // not yet started for the first time
	InstanceActive   InstanceState = "active"
	InstanceStopped  InstanceState = "stopped"
	InstanceError    InstanceState = "error"
	InstanceDeleted  InstanceState = "deleted" // nothing of it is left on the node
)

// Report is what a node says back; exactly one field is set.
type Report struct {
	Instance *InstanceReport `json:"instance,omitempty"`
	Port     *PortReport     `json:"port,omitempty"`
}

// InstanceReport tells an instance's state.
type InstanceReport struct {
	ID    ServerID      `json:"id"`
	State InstanceState `json:"state"`
	// Fault is the reason of InstanceError, a text for the server's owner.
	Fault string `json:"fault,omitempty"`
	// RebootGeneration is the last reboot that was done.
	RebootGeneration int64 `json:"reboot_generation"`
	// RebuildGeneration is the last rebuild that was done, with InstanceError
	// the last that was tried.
	RebuildGeneration int64 `json:"rebuild_generation,omitempty"`
	// StartedAt is when the instance last started; zero when it never did.
	StartedAt time.Time `json:"started_at"`
}

// PortReport tells whether a port is plugged and up.
type PortReport struct {
	ID PortID `json:"id"`
	Up bool   `json:"up"`
}
