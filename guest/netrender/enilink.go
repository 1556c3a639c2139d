package netrender

import (
	"slices"
	"strconv"

	"imprint/guest/netstate"
)

// linkLines are what belongs to the link itself, sorted as whole lines.
func linkLines(s *netstate.State, l netstate.Link) []string {
	var lines []string
	add := func(key, value string) { lines = append(lines, "    "+key+" "+value) }
	var first netstate.Subnet
	if len(l.Subnets) > 0 {
		first = l.Subnets[0]
	}
	if l.Type != netstate.Physical && l.MAC != "" {
		add("hwaddress", l.MAC)
	}
	if l.MTU > 0 && (first.MTU == 0 || first.Is6()) {
		add("mtu", strconv.Itoa(l.MTU))
	}
	if l.WakeOnLAN {
		add("ethernet-wol", "g")
	}
	if l.AcceptRA != nil && advertised(first) {
		add("accept_ra", map[bool]string{true: "1", false: "0"}[*l.AcceptRA])
	}
	switch first.Method {
	case netstate.SLAAC:
		add("dhcp", "0")
	case netstate.DHCP6Info:
		add("dhcp", "1")
	}
	if l.VLAN != nil {
		add("vlan-raw-device", l.VLAN.Link)
		add("vlan_id", strconv.Itoa(l.VLAN.ID))
	}
	if l.Bond != nil {
		add("bond-slaves", "none")
		params(add, l.Bond)
	}
	if bond, member := bondOf(s, l.Name); member {
		add("bond-master", bond.Name)
		params(add, bond.Bond)
	}
	slices.Sort(lines)
	return lines
}

// advertised tells for which first subnets cloud-init writes accept_ra.
func advertised(s netstate.Subnet) bool {
	switch s.Method {
	case netstate.DHCP4, netstate.DHCP6, netstate.DHCP6Stateful:
		return true
	case netstate.Static:
		return s.Is6()
	}
	return false
}

// params: cloud-init repeats a bond's parameters at each of its members.
func params(add func(k, v string), b *netstate.Bond) {
	for k, v := range b.Params {
		add(k, v)
	}
}

func bondOf(s *netstate.State, name string) (netstate.Link, bool) {
	for _, l := range s.Links {
		if l.Bond != nil && slices.Contains(l.Bond.Members, name) {
			return l, true
		}
	}
	return netstate.Link{}, false
}
