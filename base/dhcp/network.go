package dhcp

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// DefaultLease is the lease time where a Network names none.
// neutron: conf/agent/dhcp.py, dhcp_lease_duration.
const DefaultLease = 24 * time.Hour

// Network is everything a server knows of one network. It is a value: whoever
// changes something builds a new one. Reading it is safe for concurrent use as
// long as nobody writes its slices or its map.
type Network struct {
	// Subnets are searched in order for the one that holds a host's address.
	Subnets []Subnet
	// Domain is option 15; empty sends none. Neutron's default is openstacklocal.
	Domain string
	// MTU is option 26, sent to every client, asked or not; zero sends none.
	MTU uint16
	// Lease is how long an address is granted; zero means DefaultLease, less
	// than zero Forever.
	Lease time.Duration
	// Hosts are the only clients that get an answer.
	Hosts map[MAC]Host
}

// Subnet is one address range of a network and what its clients are told.
type Subnet struct {
	// Prefix is the range; option 1 and 28 follow from it.
	Prefix netip.Prefix
	// Server is the server's own address in the range: server identifier and
	// siaddr.
	Server netip.Addr
	// Gateway is option 3 and, where there are Routes, the last classless
	// route; the zero Addr sends neither.
	Gateway netip.Addr
	// DNS is option 6; empty sends none.
	DNS []netip.Addr
	// Routes precede the default route in options 121 and 249, in this order.
	// The route to the metadata address is one of them.
	Routes []Route
}

// Route is a classless route (RFC 3442). An unspecified Via (0.0.0.0) means
// that the destination is on the link.
type Route struct {
	To  netip.Prefix `json:"to"`
	Via netip.Addr   `json:"via"`
}

// Host is one known client.
type Host struct {
	// Addr is its address, inside one of the network's subnets.
	Addr netip.Addr
	// Others are further addresses of its own: it is granted one of them when
	// it asks for that one.
	Others []netip.Addr
	// Name is option 12; empty means HostName of the address.
	Name string
	// Options are for this client; they take the place of the network's own.
	Options []Option
}

// HostName is the name that Neutron gives to an address, as host-10-10-1-123.
// neutron: agent/linux/dhcp.py, _get_dns_assignment.
func HostName(a netip.Addr) string {
	return "host-" + strings.NewReplacer(".", "-", ":", "-").Replace(a.String())
}

func (h Host) name() string {
	if h.Name != "" {
		return h.Name
	}
	return HostName(h.Addr)
}

// settled is the host with the address that is wanted, where it has that one.
func (h Host) settled(wanted ...netip.Addr) Host {
	for _, a := range wanted {
		if slices.Contains(h.Others, a) {
			h.Addr = a
		}
	}
	return h
}

// Forever is the lease time of addresses that need no renewal. RFC 2131 3.3
const Forever = 0xffffffff * time.Second

func (n *Network) lease() time.Duration {
	switch {
	case n.Lease < 0:
		return Forever
	case n.Lease > 0:
		return min(n.Lease, Forever)
	}
	return DefaultLease
}

// Serves reports whether one of the network's subnets holds a.
func (n *Network) Serves(a netip.Addr) bool {
	_, ok := n.subnet(a)
	return ok
}

func (n *Network) subnet(a netip.Addr) (*Subnet, bool) {
	for i := range n.Subnets {
		if n.Subnets[i].Prefix.Contains(a) {
			return &n.Subnets[i], true
		}
	}
	return nil, false
}

// routes are the subnet's own and then the default route: a client that takes
// option 121 ignores option 3 (RFC 3442). Without routes of its own there is no
// option 121. neutron: agent/linux/dhcp.py, _generate_opts.
func (s *Subnet) routes() []Route {
	if !s.Gateway.IsValid() || len(s.Routes) == 0 {
		return s.Routes
	}
	all := append([]Route(nil), s.Routes...)
	return append(all, Route{To: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Via: s.Gateway})
}
