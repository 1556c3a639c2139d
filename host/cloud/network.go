package cloud

import (
	"net/netip"
)

// Network is a layer-2 segment of one project. neutron: 21.0.0, api-ref v2.0.
type Network struct {
	Meta
	NetworkID   NetworkID `json:"id"`
	ProjectID   ProjectID `json:"project_id"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	AdminDown   bool      `json:"admin_down,omitempty"`
	Shared      bool      `json:"shared,omitempty"`
	External    bool      `json:"external,omitempty"`
	// MTU of the segment in bytes.
	MTU int `json:"mtu"`
	// SegmentID is the VXLAN network identifier.
	SegmentID int `json:"segment_id"`
	// RevisionNumber counts changes, as Neutron's API shows it.
	RevisionNumber int `json:"revision_number"`
}

func (n *Network) Kind() RecordKind { return KindNetwork }
func (n *Network) ID() string       { return string(n.NetworkID) }
func (n *Network) Claims() []Claim  { return nil }

// Subnet is a range of addresses on a network.
type Subnet struct {
	Meta
	SubnetID    SubnetID     `json:"id"`
	NetworkID   NetworkID    `json:"network_id"`
	ProjectID   ProjectID    `json:"project_id"`
	Name        string       `json:"name"`
	Description string       `json:"description,omitempty"`
	CIDR        netip.Prefix `json:"cidr"` // masked
	// Gateway is invalid (the zero Addr) when the subnet has none.
	Gateway netip.Addr `json:"gateway"`
	DHCP    bool       `json:"dhcp"`
	// Pools are the ranges that addresses are taken from, both ends included.
	Pools        []Range      `json:"pools"`
	DNS          []netip.Addr `json:"dns,omitempty"`
	HostRoutes   []Route      `json:"host_routes,omitempty"`
	IPv6AddrMode string       `json:"ipv6_address_mode,omitempty"`
	IPv6RAMode   string       `json:"ipv6_ra_mode,omitempty"`
	// ServiceProviders are the metadata providers (load balancers) that the
	// network is connected to. neutron: advanced_service_providers.
	ServiceProviders []string `json:"advanced_service_providers,omitempty"`
	RevisionNumber   int      `json:"revision_number"`
}

// What Subnet.IPv6AddrMode and IPv6RAMode may be; "" is neither.
const (
	ModeSLAAC     = "slaac"
	ModeStateful  = "dhcpv6-stateful"
	ModeStateless = "dhcpv6-stateless"
)

// Range is a run of addresses, both ends included.
type Range struct {
	Start netip.Addr `json:"start"`
	End   netip.Addr `json:"end"`
}

// Contains reports whether a lies in r.
func (r Range) Contains(a netip.Addr) bool {
	return a.BitLen() == r.Start.BitLen() && r.Start.Compare(a) <= 0 && a.Compare(r.End) <= 0
}

// Route is a destination and the next hop to it.
type Route struct {
	Destination netip.Prefix `json:"destination"`
	NextHop     netip.Addr   `json:"nexthop"`
}

func (s *Subnet) Kind() RecordKind { return KindSubnet }
func (s *Subnet) ID() string       { return string(s.SubnetID) }
func (s *Subnet) Claims() []Claim  { return nil }

// Owners of a port's device, in Neutron's words (neutron_lib/constants.py).
const (
	OwnerComputePrefix   = "compute:"
	OwnerDHCP            = "network:dhcp"
	OwnerRouterInterface = "network:router_interface"
	OwnerRouterGateway   = "network:router_gateway"
	OwnerFloatingIP      = "network:floatingip"
)

// Port is a place on a network: a NIC of a server, a leg of a router, the
// network's DHCP port.
type Port struct {
	Meta
	PortID      PortID    `json:"id"`
	NetworkID   NetworkID `json:"network_id"`
	ProjectID   ProjectID `json:"project_id"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	AdminDown   bool      `json:"admin_down,omitempty"`
	MAC         MAC       `json:"mac"`
	FixedIPs    []FixedIP `json:"fixed_ips"`
	DeviceID    string    `json:"device_id"`
	DeviceOwner string    `json:"device_owner"`
	// Host is the node that the port is plugged on; "" while unbound.
	Host string `json:"host,omitempty"`
	// SubPorts make the port the parent of a trunk. neutron: trunk_details.
	SubPorts []SubPort `json:"sub_ports,omitempty"`
	// Bond is nil for a port that is one NIC.
	Bond *Bond `json:"bond,omitempty"`
	// Up is what the node reported.
	Up bool `json:"up,omitempty"`
	// DHCPOptions are told to this port's device besides the network's own.
	DHCPOptions    []DHCPOption `json:"extra_dhcp_opts,omitempty"`
	RevisionNumber int          `json:"revision_number"`
}

// DHCPOption is an option of DHCP as Neutron's extension extra_dhcp_opt has it.
type DHCPOption struct {
	Name  string `json:"opt_name"`  // a name that dnsmasq knows, or a number
	Value string `json:"opt_value"` // as for dnsmasq's dhcp-option
	// IPVersion is 4 or 6.
	IPVersion int `json:"ip_version"`
}

// SubPort is a port that its server reaches as a VLAN of another port.
type SubPort struct {
	PortID         PortID `json:"port_id"`
	SegmentationID int    `json:"segmentation_id"` // VLAN, 1 to 4094
}

// Bond is a port made of several NICs, as of bare metal. ironic: portgroups.
type Bond struct {
	Mode       string `json:"mode"` // 802.3ad, active-backup …
	Links      []MAC  `json:"links"`
	MIIMon     int    `json:"miimon,omitempty"` // milliseconds
	HashPolicy string `json:"xmit_hash_policy,omitempty"`
}

// FixedIP is an address of a port and the subnet that it is from.
type FixedIP struct {
	SubnetID SubnetID   `json:"subnet_id"`
	Addr     netip.Addr `json:"ip_address"`
}

func (p *Port) Kind() RecordKind { return KindPort }
func (p *Port) ID() string       { return string(p.PortID) }

// Claims: an address and a MAC are held by one port of the network.
func (p *Port) Claims() []Claim {
	cs := []Claim{claim("mac", string(p.NetworkID), string(p.MAC))}
	for _, ip := range p.FixedIPs {
		cs = append(cs, claim("ip", string(p.NetworkID), ip.Addr.String()))
	}
	return cs
}

// Router joins subnets.
type Router struct {
	Meta
	RouterID    RouterID  `json:"id"`
	ProjectID   ProjectID `json:"project_id"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	AdminDown   bool      `json:"admin_down,omitempty"`
	// GatewayPort is its port on an external network, "" for none.
	GatewayPort PortID `json:"gateway_port,omitempty"`
	// NoSNAT says that what leaves by the gateway keeps its address, unless it
	// has a floating one.
	NoSNAT         bool `json:"no_snat,omitempty"`
	RevisionNumber int  `json:"revision_number"`
}

// FloatingIP is an address of an external network that stands for an address
// of a port behind a router.
type FloatingIP struct {
	Meta
	FloatingID  FloatingID `json:"id"`
	ProjectID   ProjectID  `json:"project_id"`
	Description string     `json:"description,omitempty"`
	// NetworkID is the external network, Addr the address there; FloatingPort
	// holds it.
	NetworkID    NetworkID  `json:"network_id"`
	Addr         netip.Addr `json:"addr"`
	FloatingPort PortID     `json:"floating_port"`
	// PortID and FixedAddr are what it stands for, RouterID the router between;
	// all are empty while it stands for nothing.
	PortID         PortID     `json:"port_id,omitempty"`
	FixedAddr      netip.Addr `json:"fixed_addr"`
	RouterID       RouterID   `json:"router_id,omitempty"`
	RevisionNumber int        `json:"revision_number"`
}

func (f *FloatingIP) Kind() RecordKind { return KindFloatingIP }
func (f *FloatingIP) ID() string       { return string(f.FloatingID) }

// Claims: an address of a port has one floating address.
func (f *FloatingIP) Claims() []Claim {
	if f.PortID == "" {
		return nil
	}
	return []Claim{claim("floating", string(f.PortID), f.FixedAddr.String())}
}

func (r *Router) Kind() RecordKind { return KindRouter }
func (r *Router) ID() string       { return string(r.RouterID) }
func (r *Router) Claims() []Claim  { return nil }
