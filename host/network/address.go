package network

import (
	"math/rand/v2"
	"net/netip"

	"imprint/host/cloud"
)

// last returns the last address of a masked prefix.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b) // as long as it was
	return a
}

// usable reports whether a port may have address a of prefix p: it lies inside
// and is neither the network's own nor IPv4's broadcast address. Only a router
// may have the first address of an IPv6 prefix (RFC 4291 2.6.1). neutron:
// ipam/utils.py check_subnet_ip.
func usable(p netip.Prefix, a netip.Addr, router bool) bool {
	if !p.Contains(a) {
		return false
	}
	if a.Is6() {
		return router || a != p.Addr()
	}
	return a != p.Addr() && a != last(p)
}

// defaultGateway is the address that Neutron 21.0.0 chooses: the first host of
// an IPv4 prefix, the anycast address of an IPv6 one. A prefix too small for
// one has none.
func defaultGateway(p netip.Prefix) netip.Addr {
	if p.Addr().Is6() {
		return p.Addr()
	}
	if a := p.Addr().Next(); p.Contains(a) {
		return a
	}
	return netip.Addr{}
}

// defaultPools are all usable addresses of p but the gateway. neutron:
// ipam/utils.py generate_pools.
func defaultPools(p netip.Prefix, gateway netip.Addr) []cloud.Range {
	start, end := p.Addr(), last(p)
	switch {
	case start == end:
		return []cloud.Range{{Start: start, End: end}}
	case start.Is6():
		start = start.Next()
	case p.Bits() <= 30:
		start, end = start.Next(), end.Prev()
	}
	whole := cloud.Range{Start: start, End: end}
	if !gateway.IsValid() || !whole.Contains(gateway) {
		return []cloud.Range{whole}
	}
	var pools []cloud.Range
	if start != gateway {
		pools = append(pools, cloud.Range{Start: start, End: gateway.Prev()})
	}
	if gateway != end {
		pools = append(pools, cloud.Range{Start: gateway.Next(), End: end})
	}
	return pools
}

// eui64 is the address that a NIC makes itself in a /64 (RFC 4291 appendix A).
func eui64(p netip.Prefix, mac cloud.MAC) netip.Addr {
	b, hw := p.Addr().As16(), mac.Hardware()
	copy(b[8:], []byte{hw[0] ^ 2, hw[1], hw[2], 0xff, 0xfe, hw[3], hw[4], hw[5]})
	return netip.AddrFrom16(b)
}

// automatic reports whether NICs on the subnet make their own addresses.
// neutron: common/ipv6_utils.py is_auto_address_subnet.
func automatic(s *cloud.Subnet) bool {
	for _, mode := range [...]string{s.IPv6AddrMode, s.IPv6RAMode} {
		if mode == "slaac" || mode == "dhcpv6-stateless" {
			return true
		}
	}
	return false
}

// window is how many free addresses a random choice is made from; a new port
// seldom gets the address that another just gave back.
const window = 256

// pick returns a free address of the subnet's pools: the first, or one of the
// first by chance. The zero Addr means that there is none.
func (d *draft) pick(s *cloud.Subnet, first bool) netip.Addr {
	var free []netip.Addr
	for _, pool := range s.Pools {
		for a := pool.Start; a.IsValid() && pool.Contains(a); a = a.Next() {
			if d.inUse(s.NetworkID, a) || !usable(s.CIDR, a, false) {
				continue
			}
			if first {
				return a
			}
			if free = append(free, a); len(free) == window {
				return free[rand.IntN(window)]
			}
		}
	}
	if len(free) == 0 {
		return netip.Addr{}
	}
	return free[rand.IntN(len(free))]
}
