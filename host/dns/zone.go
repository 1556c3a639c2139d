// Package dns is the name server of one network: it knows the network's own
// names and addresses, and hands on what else it is asked where that is
// configured.
//
// What it answers follows dnsmasq 2.90 as Neutron 21.0.0 configures it. A name
// of the network's own domain that nobody has is denied here and never handed
// on, and so is the name of an address of the network.
package dns

import (
	"cmp"
	"net/netip"
	"strings"
	"time"
)

// Zone is what the server of a network knows. It is a value: whoever changes
// something builds a new one. Reading it is safe for concurrent use.
type Zone struct {
	domain   string
	byName   map[string][]netip.Addr
	byAddr   map[netip.Addr]string
	prefixes []netip.Prefix
	upstream []netip.AddrPort
	timeout  time.Duration
}

// Facts are what a [Zone] is made of.
type Facts struct {
	// Domain is that of all names; "" has none.
	Domain string
	// Names are the network's names, without the domain, and their addresses.
	Names map[string][]netip.Addr
	// Prefixes are the network's own addresses.
	Prefixes []netip.Prefix
	// Upstream are the servers that other names are looked up at, one after the
	// other; without any, other names are refused.
	Upstream []netip.AddrPort
	// Timeout is how long each of them has; 0 is two seconds.
	Timeout time.Duration
}

// NewZone makes a zone. Names that are none are left out.
func NewZone(f Facts) *Zone {
	z := &Zone{
		domain: strings.ToLower(strings.Trim(f.Domain, ".")), prefixes: f.Prefixes,
		upstream: f.Upstream, timeout: cmp.Or(f.Timeout, upstreamTimeout),
		byName: make(map[string][]netip.Addr, 2*len(f.Names)), byAddr: make(map[netip.Addr]string, len(f.Names)),
	}
	for name, addrs := range f.Names {
		name = strings.ToLower(name)
		full := name
		if z.domain != "" {
			full += "." + z.domain
		}
		if !valid(full) {
			continue
		}
		z.byName[name] = append(z.byName[name], addrs...)
		if full != name {
			z.byName[full] = append(z.byName[full], addrs...)
		}
		for _, a := range addrs {
			z.byAddr[a] = full
		}
	}
	return z
}

// valid reports whether a name can be one on the wire. RFC 1035 2.3.4
func valid(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
	}
	return true
}

// own reports whether the zone alone decides about name.
func (z *Zone) own(name string) bool {
	if z.domain != "" && (name == z.domain || strings.HasSuffix(name, "."+z.domain)) {
		return true
	}
	if a, ok := reversed(name); ok {
		return z.holds(a)
	}
	_, known := z.byName[name]
	return known
}

func (z *Zone) holds(a netip.Addr) bool {
	for _, p := range z.prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// serves reports whether a client belongs to the network; dnsmasq's
// --local-service.
func (z *Zone) serves(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return a.IsLinkLocalUnicast() && a.Is6() || z.holds(a)
}

// reversed reads a name below in-addr.arpa or ip6.arpa that stands for one
// address. RFC 1035 3.5, RFC 3596 2.5
func reversed(name string) (netip.Addr, bool) {
	if rest, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		return reversed4(strings.Split(rest, "."))
	}
	rest, ok := strings.CutSuffix(name, ".ip6.arpa")
	if !ok || len(rest) != 63 {
		return netip.Addr{}, false
	}
	var b [16]byte
	for i := range 32 {
		digit := strings.IndexByte("0123456789abcdef", rest[2*i])
		if digit < 0 || i > 0 && rest[2*i-1] != '.' {
			return netip.Addr{}, false
		}
		b[15-i/2] |= byte(digit) << (4 * (i % 2))
	}
	return netip.AddrFrom16(b), true
}

func reversed4(parts []string) (netip.Addr, bool) {
	if len(parts) != 4 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(parts[3] + "." + parts[2] + "." + parts[1] + "." + parts[0])
	return a, err == nil && a.Is4()
}
