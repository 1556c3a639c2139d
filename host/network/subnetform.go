package network

import (
	"net/netip"
	"slices"
	"strings"

	"imprint/host/api"
	"imprint/host/cloud"
)

// Bounds of a subnet. neutron: max_dns_nameservers and
// max_subnet_host_routes, 21.0.0.
const (
	maxDNS    = 5
	maxRoutes = 20
	maxPools  = 20
)

// subnetForm is what a request says of a subnet.
type subnetForm struct {
	network     cloud.NetworkID
	cidr        netip.Prefix
	raMode      string
	addrMode    string
	name        string
	description string
	hasName     bool
	hasText     bool
	gateway     netip.Addr
	hasGateway  bool // given, even as null
	pools       []cloud.Range
	hasPools    bool
	dns         []netip.Addr
	hasDNS      bool
	routes      []cloud.Route
	hasRoutes   bool
	dhcp        bool
	hasDHCP     bool
}

func readNewSubnet(req *api.Request) (*subnetForm, error) {
	o, err := req.Object("subnet")
	if err != nil {
		return nil, err
	}
	f := &subnetForm{network: cloud.NetworkID(o.UUID("network_id")), cidr: o.Prefix("cidr")}
	o.Require("network_id", "cidr")
	version := 4
	if f.cidr.Addr().Is6() {
		version = 6
	}
	if o.Int("ip_version", version, 4, 6) != version {
		o.Fail("ip_version", "It does not match the cidr.")
	}
	f.raMode = o.Enum("ipv6_ra_mode", "slaac", "dhcpv6-stateful", "dhcpv6-stateless")
	f.addrMode = o.Enum("ipv6_address_mode", "slaac", "dhcpv6-stateful", "dhcpv6-stateless")
	o.Ignore("tenant_id", "project_id") // a subnet belongs to its network's project
	o.Refuse("subnetpool_id", "prefixlen", "segment_id", "use_default_subnetpool")
	return f, f.read(o)
}

func readSubnetChange(req *api.Request) (*subnetForm, error) {
	o, err := req.Object("subnet")
	if err != nil {
		return nil, err
	}
	f := &subnetForm{}
	return f, f.read(o)
}

// read reads what may be said of a subnet at any time.
func (f *subnetForm) read(o *api.Object) error {
	f.hasName, f.name = o.Has("name"), o.Text("name", 0, maxText)
	f.hasText, f.description = o.Has("description"), o.Text("description", 0, maxText)
	f.hasGateway, f.gateway = o.Has("gateway_ip") || o.Null("gateway_ip"), o.Addr("gateway_ip")
	f.hasDHCP, f.dhcp = o.Has("enable_dhcp"), o.Bool("enable_dhcp", true)
	f.hasPools, f.hasDNS, f.hasRoutes = o.Has("allocation_pools"), o.Has("dns_nameservers"), o.Has("host_routes")
	for _, p := range o.Objects("allocation_pools", maxPools) {
		p.Require("start", "end")
		f.pools = append(f.pools, cloud.Range{Start: p.Addr("start"), End: p.Addr("end")})
	}
	for _, text := range o.Texts("dns_nameservers", maxDNS) {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" || slices.Contains(f.dns, a.Unmap()) {
			o.Fail("dns_nameservers", "It must be a list of different IP addresses.")
		}
		f.dns = append(f.dns, a.Unmap())
	}
	for _, p := range o.Objects("host_routes", maxRoutes) {
		p.Require("destination", "nexthop")
		f.routes = append(f.routes, cloud.Route{Destination: p.Prefix("destination"), NextHop: p.Addr("nexthop")})
	}
	o.Refuse("service_types", "dns_publish_fixed_ip")
	return o.Err()
}

// fill makes a new subnet of the form; others are those of its network.
func (f *subnetForm) fill(s *cloud.Subnet, others []*cloud.Subnet) error {
	s.CIDR, s.IPv6RAMode, s.IPv6AddrMode, s.DHCP = f.cidr, f.raMode, f.addrMode, true
	if err := checkCIDR(s, others); err != nil {
		return err
	}
	if !f.hasGateway {
		f.hasGateway, f.gateway = true, defaultGateway(s.CIDR)
	}
	if !f.hasPools {
		f.hasPools, f.pools = true, defaultPools(s.CIDR, f.gateway)
	}
	return f.apply(s)
}

func checkCIDR(s *cloud.Subnet, others []*cloud.Subnet) error {
	a := s.CIDR.Addr()
	switch {
	case s.CIDR.Bits() == 0:
		return invalidInput("0 is not allowed as CIDR prefix length")
	case a.IsMulticast() || a.IsLoopback() || (a.Is4() && a.As4()[0] == 0):
		return invalidInput("%s cannot be used as a subnet", s.CIDR)
	case a.Is4() && (s.IPv6RAMode != "" || s.IPv6AddrMode != ""):
		return invalidInput("ipv6_ra_mode and ipv6_address_mode are not valid when ip_version is 4")
	case s.IPv6RAMode != "" && s.IPv6AddrMode != "" && s.IPv6RAMode != s.IPv6AddrMode:
		return invalidInput("ipv6_ra_mode set to '%s' with ipv6_address_mode set to '%s' is not valid. "+
			"If both attributes are set, they must be the same value", s.IPv6RAMode, s.IPv6AddrMode)
	case automatic(s) && s.CIDR.Bits() != 64:
		return invalidInput("Invalid CIDR %s for IPv6 address mode. OpenStack uses the EUI-64 address format, "+
			"which requires the prefix to be /64", s.CIDR)
	case len(others) >= maxSubnets:
		return fault(cloud.Conflict, "OverQuota", "Quota exceeded for resources: ['subnet'].")
	}
	for _, o := range others {
		if o.CIDR.Overlaps(s.CIDR) {
			return invalidInput("Requested subnet with cidr: %s for network: %s overlaps with another subnet", s.CIDR, s.NetworkID)
		}
	}
	return nil
}

// apply changes a subnet as the form says and checks the whole.
func (f *subnetForm) apply(s *cloud.Subnet) error {
	if f.hasName {
		s.Name = f.name
	}
	if f.hasText {
		s.Description = f.description
	}
	if f.hasGateway {
		s.Gateway = f.gateway
	}
	if f.hasDHCP {
		s.DHCP = f.dhcp
	}
	s.Pools = slices.Clone(s.Pools) // checkPools sorts them
	if f.hasPools {
		s.Pools = slices.Clone(f.pools)
	}
	if f.hasDNS {
		s.DNS = f.dns
	}
	if f.hasRoutes {
		s.HostRoutes = f.routes
	}
	return checkSubnet(s)
}

// checkSubnet is Neutron's _validate_subnet (db/db_base_plugin_v2.py, 21.0.0).
func checkSubnet(s *cloud.Subnet) error {
	bits := s.CIDR.Addr().BitLen()
	if s.DHCP && s.CIDR.Bits() > bits-2 {
		return invalidInput("Subnet has a prefix length that is incompatible with DHCP service enabled")
	}
	if !s.DHCP && (s.IPv6RAMode != "" || s.IPv6AddrMode != "") {
		return invalidInput("ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False")
	}
	for _, a := range s.DNS {
		if a.BitLen() != bits {
			return invalidInput("dns_nameserver '%s' does not match the ip_version of the subnet", a)
		}
	}
	for _, rt := range s.HostRoutes {
		if rt.NextHop.BitLen() != bits || rt.Destination.Addr().BitLen() != bits {
			return invalidInput("Invalid route: %s via %s", rt.Destination, rt.NextHop)
		}
	}
	return checkPools(s)
}

func checkPools(s *cloud.Subnet) error {
	g := s.Gateway
	if g.IsValid() && (g.BitLen() != s.CIDR.Addr().BitLen() || (s.CIDR.Contains(g) && !usable(s.CIDR, g, true) && s.CIDR.Bits() < 31)) {
		return invalidInput("Gateway is not valid on subnet")
	}
	slices.SortFunc(s.Pools, func(a, b cloud.Range) int { return a.Start.Compare(b.Start) })
	first, end := s.CIDR.Addr(), last(s.CIDR)
	if first.Is4() && s.CIDR.Bits() < 31 {
		first, end = first.Next(), end.Prev()
	}
	for i, p := range s.Pools {
		text := p.Start.String() + "-" + p.End.String()
		switch {
		case p.Start.BitLen() != first.BitLen() || p.End.BitLen() != first.BitLen() || p.End.Less(p.Start):
			return fault(cloud.Invalid, "InvalidAllocationPool", "The allocation pool %s is not valid.", text)
		case p.Start.Less(first) || end.Less(p.End):
			return fault(cloud.Invalid, "OutOfBoundsAllocationPool", "The allocation pool %s spans beyond the subnet cidr %s.", text, s.CIDR)
		case i > 0 && !s.Pools[i-1].End.Less(p.Start):
			return fault(cloud.Conflict, "OverlappingAllocationPools", "Found overlapping allocation pools: %s %s for subnet %s.",
				strings.Join([]string{s.Pools[i-1].Start.String(), s.Pools[i-1].End.String()}, "-"), text, s.CIDR)
		case g.IsValid() && p.Contains(g):
			return fault(cloud.Conflict, "GatewayConflictWithAllocationPools", "Gateway ip %s conflicts with allocation pool %s.", g, text)
		}
	}
	return nil
}
