package dhcpagent

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"imprint/base/dhcp"
	"imprint/host/dns"
)

// answers are what the worker answers of one network from.
type answers struct {
	dhcp4 *dhcp.Network
	dhcp6 *dhcp.Network6
	names *dns.Zone
}

// answers checks what was told, once more, and turns it into what is answered
// from. A host that is wrong is left out, with a note; so is an option.
func (s served) answers() (a answers, notes []error, err error) {
	if strings.IndexFunc(s.Domain, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) >= 0 {
		return a, nil, errors.New("the domain is not one")
	}
	id, err := uuid.Parse(s.ServerID)
	if err != nil && len(s.Subnets6) > 0 {
		return a, nil, fmt.Errorf("server id: %w", err)
	}
	a.dhcp4 = &dhcp.Network{Subnets: s.Subnets, Domain: s.Domain, MTU: s.MTU, Lease: s.Lease, Hosts: make(map[dhcp.MAC]dhcp.Host, len(s.Hosts))}
	a.dhcp6 = &dhcp.Network6{
		ServerID: dhcp.NewServerID(id), Domain: s.Domain, Lease: s.Lease, Subnets: s.Subnets6, Hosts: map[dhcp.MAC]dhcp.Host6{},
	}
	names := make(map[string][]netip.Addr, len(s.Hosts))
	for _, h := range s.Hosts {
		mac, err := dhcp.ParseMAC(string(h.MAC))
		if err != nil {
			notes = append(notes, err)
			continue
		}
		for _, addr := range h.Addrs {
			names[dhcp.HostName(addr)] = []netip.Addr{addr}
		}
		notes = append(notes, a.add(mac, h)...)
	}
	for _, sub := range s.Subnets {
		names[dhcp.HostName(sub.Server)] = []netip.Addr{sub.Server}
	}
	a.names = dns.NewZone(dns.Facts{Domain: s.Domain, Names: names, Prefixes: s.Prefixes, Upstream: s.Upstream})
	return a, notes, nil
}

// add gives a host to the servers of the families that it has addresses of: to
// DHCPv4 only those in a served subnet, the first one first.
func (a answers) add(mac dhcp.MAC, h host) []error {
	var four []netip.Addr
	var six []netip.Addr
	for _, addr := range h.Addrs {
		switch {
		case !addr.IsValid():
		case addr.Is6():
			six = append(six, addr)
		case a.dhcp4.Serves(addr):
			four = append(four, addr)
		}
	}
	options4, options6, notes := h.options()
	if len(four) > 0 {
		a.dhcp4.Hosts[mac] = dhcp.Host{Addr: four[0], Others: four[1:], Options: options4}
	}
	if len(six) > 0 {
		a.dhcp6.Hosts[mac] = dhcp.Host6{Addrs: six, Options: options6}
	}
	return notes
}

// options reads the port's own; what cannot be sent is left out.
func (h host) options() (four, six []dhcp.Option, notes []error) {
	for _, o := range h.Options {
		parse, list := dhcp.ParseOption, &four
		if o.IPVersion == 6 {
			parse, list = dhcp.ParseOption6, &six
		}
		parsed, err := parse(o.Name, o.Value)
		if err != nil {
			notes = append(notes, fmt.Errorf("port with %s: %w", h.MAC, err))
			continue
		}
		*list = append(*list, parsed)
	}
	return four, six, notes
}
