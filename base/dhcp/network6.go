package dhcp

import (
	"net/netip"
	"time"
)

// Network6 is everything a DHCPv6 server knows of one network; a value like
// [Network].
type Network6 struct {
	// ServerID is the server's DUID; see [NewServerID].
	ServerID []byte
	// Domain is the only entry of the search list (option 24) and the domain of
	// clients' names; empty sends none.
	Domain string
	// Lease is how long addresses are valid and preferred; zero means
	// DefaultLease, less than zero Forever.
	Lease time.Duration
	// Subnets are those with DHCPv6.
	Subnets []Subnet6
	// Hosts are the only clients that get an answer.
	Hosts map[MAC]Host6
}

// Subnet6 is one IPv6 range of a network.
type Subnet6 struct {
	Prefix netip.Prefix
	// Stateful says that addresses come from this server; else clients make
	// their own and are told the rest.
	Stateful bool
	// DNS are name servers (option 23).
	DNS []netip.Addr
}

// Host6 is one known client.
type Host6 struct {
	// Addrs are all its addresses, in subnets of either kind.
	Addrs []netip.Addr
	// Options are for this client; they take the place of the network's own.
	Options []Option
}

// NewServerID makes a DUID of 16 bytes that tell the server from all others.
// RFC 6355
func NewServerID(uuid [16]byte) []byte { return append([]byte{0, 4}, uuid[:]...) }

func (n *Network6) lease() time.Duration { return (&Network{Lease: n.Lease}).lease() }

// subnets are those that the host has an address in.
func (n *Network6) subnets(h Host6) (list []Subnet6) {
	for _, s := range n.Subnets {
		for _, a := range h.Addrs {
			if s.Prefix.Contains(a) {
				list = append(list, s)
				break
			}
		}
	}
	return list
}

// leased are the host's addresses that it gets from the server.
func (n *Network6) leased(h Host6) (list []netip.Addr) {
	for _, a := range h.Addrs {
		for _, s := range n.Subnets {
			if s.Stateful && s.Prefix.Contains(a) {
				list = append(list, a)
			}
		}
	}
	return list
}

func (n *Network6) onLink(a netip.Addr) bool {
	for _, s := range n.Subnets {
		if s.Prefix.Contains(a) {
			return true
		}
	}
	return false
}

// macOf reads the MAC in a link-local address that was made of it. RFC 4291
// appendix A
func macOf(a netip.Addr) (MAC, bool) {
	b := a.As16()
	local := a.Is6() && [8]byte(b[:8]) == [8]byte{0xfe, 0x80}
	return MAC{b[8] ^ 2, b[9], b[10], b[13], b[14], b[15]}, local && b[11] == 0xff && b[12] == 0xfe
}
