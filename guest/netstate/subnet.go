package netstate

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// methods are the types of network that are not static ones.
var methods = map[string]Method{
	"ipv4_dhcp":             DHCP4,
	"ipv6_dhcp":             DHCP6,
	"ipv6_slaac":            SLAAC,
	"ipv6_dhcpv6-stateless": DHCP6Info,
	"ipv6_dhcpv6-stateful":  DHCP6Stateful,
}

// subnets gives a link the networks that name its id.
func (c *converter) subnets(l *Link, id string) {
	for _, n := range c.doc.Networks {
		if string(n.Link) != id {
			continue
		}
		s, err := c.subnet(n)
		if err != nil {
			c.problem("network %s: %v", n.ID, err)
			continue
		}
		switch n.Type {
		case "ipv6", "static6":
			l.AcceptRA = new(bool)
		case "ipv6_dhcp", "ipv6_dhcpv6-stateful":
			yes := true
			l.AcceptRA = &yes
		}
		l.Subnets = append(l.Subnets, s)
	}
}

func (c *converter) subnet(n network) (Subnet, error) {
	what := fmt.Sprintf("network %s", n.ID)
	s := Subnet{Method: methods[n.Type], DNS: c.addresses(what, n.DNS)}
	switch n.Type {
	case "ipv4", "static", "ipv6", "static6":
		s.Method = Static
		var err error
		if s.Address, err = prefix(n.Address, string(n.Netmask)); err != nil {
			return Subnet{}, err
		}
	}
	if s.Method == "" {
		return Subnet{}, fmt.Errorf("type %.40q is not known", n.Type)
	}
	if n.Gateway != "" {
		if gw := c.addresses(what, names{n.Gateway}); len(gw) == 1 {
			s.Gateway = gw[0]
		}
	}
	s.Search = c.domains(what, n.Search)
	for _, r := range n.Routes {
		to, err := prefix(r.Network, string(r.Netmask))
		via, viaErr := netip.ParseAddr(r.Gateway)
		if err != nil || viaErr != nil || to.Addr().Is4() != via.Is4() || via.Zone() != "" {
			c.problem("%s: route %.60q %.60q via %.60q", what, r.Network, r.Netmask, r.Gateway)
			continue
		}
		s.Routes = append(s.Routes, Route{To: to, Via: via, Metric: int(max(r.Metric, 0))})
	}
	return s, nil
}

func (c *converter) domains(what string, list []string) (good []string) {
	for _, name := range list {
		if !wordRE.MatchString(name) {
			c.problem("%s: search domain %.60q", what, name)
			continue
		}
		good = append(good, name)
	}
	return good
}

// prefix joins an address, which may have a length of its own, and a mask in
// dotted form or as a length. Without either it is 24 or 64 bits.
// cloud-init 22.4: net/network_state.py, _normalize_net_keys.
func prefix(address, mask string) (netip.Prefix, error) {
	if a, m, ok := strings.Cut(address, "/"); ok {
		address, mask = a, m
	}
	a, err := netip.ParseAddr(address)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%.60q is no address", address)
	}
	bits, err := maskBits(mask, a.BitLen())
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(a, bits), nil
}

func maskBits(mask string, size int) (int, error) {
	if mask == "" {
		return map[int]int{32: 24, 128: 64}[size], nil
	}
	if n, err := strconv.Atoi(mask); err == nil && 0 <= n && n <= size {
		return n, nil
	}
	if m, err := netip.ParseAddr(mask); err == nil && m.BitLen() == size {
		ones, bits := net.IPMask(m.AsSlice()).Size()
		if bits == size {
			return ones, nil
		}
	}
	return 0, fmt.Errorf("%.60q is no mask", mask)
}
