// Package netrender turns a network configuration into the files of a
// distribution's own network service; it does no I/O.
package netrender

import (
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"imprint/guest/netstate"
)

// File is one file to write: absolute name in the system's root, exact mode.
type File struct {
	Name string
	Data []byte
	Mode fs.FileMode
}

const eniHeader = `# This file is generated from information provided by the datasource.  Changes
# to it will not persist across an instance reboot.  To disable cloud-init's
# network configuration capabilities, write a file
# /etc/cloud/cloud.cfg.d/99-disable-network-config.cfg with the following:
# network: {config: disabled}
`

// ENI renders for ifupdown, byte for byte as cloud-init 22.4 on Debian does
// (net/eni.py, distros/debian.py): the interfaces, and the udev rules that
// keep their names.
func ENI(s *netstate.State) []File {
	return []File{
		{"/etc/network/interfaces.d/50-cloud-init", []byte(eniHeader + interfaces(s)), 0o644},
		{"/etc/udev/rules.d/70-persistent-net.rules", []byte(udevRules(s)), 0o644},
	}
}

// udevRules: cloud-init 22.4, net/udev.py.
func udevRules(s *netstate.State) string {
	var b strings.Builder
	for _, l := range s.Links {
		if l.Type == netstate.Physical && l.MAC != "" {
			fmt.Fprintf(&b, "SUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==\"?*\", ATTR{address}==%q, NAME=%q\n", l.MAC, l.Name)
		}
	}
	return b.String()
}

// interfaces are the stanzas: lo with the name servers of no link, physical
// links before what is built upon them, routes of no link last.
func interfaces(s *netstate.State) string {
	stanzas := [][]string{loopback(s)}
	links := slices.Clone(s.Links)
	slices.SortStableFunc(links, func(a, b netstate.Link) int {
		if c := order(a.Type) - order(b.Type); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	for _, l := range links {
		if l.Type != netstate.Loopback {
			stanzas = append(stanzas, link(s, l)...)
		}
	}
	for _, r := range s.Routes {
		stanzas = append(stanzas, routeLines(r, ""))
	}
	var b strings.Builder
	for i, lines := range stanzas {
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString(strings.Join(lines, "\n") + "\n")
	}
	return b.String()
}

func order(t netstate.LinkType) int {
	return slices.Index([]netstate.LinkType{
		netstate.Loopback, netstate.Physical, netstate.Infiniband, netstate.BondLink, netstate.VLANLink,
	}, t)
}

func loopback(s *netstate.State) []string {
	lines := []string{"auto lo", "iface lo inet loopback"}
	return append(lines, nameLines(s.DNS, s.Search)...)
}

// link is one stanza per subnet; only the first carries what belongs to the
// link, and only the first is brought up by name.
func link(s *netstate.State, l netstate.Link) [][]string {
	if len(l.Subnets) == 0 {
		return [][]string{bare(s, l)}
	}
	var stanzas [][]string
	auto := false
	for i, sub := range l.Subnets {
		verb := "auto"
		switch {
		case auto:
			verb = "# control-alias"
		case sub.ByHand:
			verb = "# control-manual"
		default:
			auto = true
		}
		lines := []string{verb + " " + l.Name, "iface " + l.Name + " " + family(sub) + " " + mode(sub)}
		lines = append(lines, subnetLines(sub)...)
		if i == 0 {
			lines = append(lines, linkLines(s, l)...)
		}
		for _, r := range sub.Routes {
			lines = append(lines, routeLines(r, "    ")...)
		}
		stanzas = append(stanzas, lines)
	}
	return stanzas
}

// bare is a link without a subnet; those of a bond are brought up all the same.
func bare(s *netstate.State, l netstate.Link) []string {
	lines := []string{"iface " + l.Name + " inet manual"}
	if _, member := bondOf(s, l.Name); member || l.Bond != nil {
		lines = slices.Insert(lines, 0, "auto "+l.Name)
	}
	return append(lines, linkLines(s, l)...)
}

func family(s netstate.Subnet) string {
	if s.Is6() {
		return "inet6"
	}
	return "inet"
}

func mode(s netstate.Subnet) string {
	switch s.Method {
	case netstate.DHCP4, netstate.DHCP6, netstate.DHCP6Stateful:
		return "dhcp"
	case netstate.SLAAC, netstate.DHCP6Info:
		return "auto"
	}
	return string(s.Method)
}

func subnetLines(s netstate.Subnet) []string {
	var lines []string
	if s.Address.IsValid() {
		lines = append(lines, "    address "+s.Address.String())
	}
	if s.Broadcast.IsValid() {
		lines = append(lines, "    broadcast "+s.Broadcast.String())
	}
	if s.Gateway.IsValid() {
		lines = append(lines, "    gateway "+s.Gateway.String())
	}
	lines = append(lines, number("metric", s.Metric)...)
	lines = append(lines, number("mtu", s.MTU)...)
	lines = append(lines, nameLines(s.DNS, s.Search)...)
	slices.Sort(lines)
	return lines
}

func nameLines(dns []netip.Addr, search []string) []string {
	var lines []string
	if len(dns) > 0 {
		line := "    dns-nameservers"
		for _, a := range dns {
			line += " " + a.String()
		}
		lines = append(lines, line)
	}
	if len(search) > 0 {
		lines = append(lines, "    dns-search "+strings.Join(search, " "))
	}
	return lines
}

func number(key string, n int) []string {
	if n == 0 {
		return nil
	}
	return []string{"    " + key + " " + strconv.Itoa(n)}
}

// routeLines name the net-tools command, and let it fail.
func routeLines(r netstate.Route, indent string) []string {
	to, net := " -net "+r.To.String(), r.To.Addr()
	switch {
	case r.To.Bits() == 0 && net.Is4() && net.IsUnspecified():
		to = " default"
	case r.To.Bits() == 0 && net.IsUnspecified():
		to = " -A inet6 default"
	case net.Is6():
		to = " -A inet6 " + r.To.String()
	case r.To.Bits() == 32:
		to = " -host " + r.To.String()
	}
	to += " gw " + r.Via.String()
	if r.Metric > 0 {
		to += " metric " + strconv.Itoa(r.Metric)
	}
	return []string{indent + "post-up route add" + to + " || true", indent + "pre-down route del" + to + " || true"}
}
