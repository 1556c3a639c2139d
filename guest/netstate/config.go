package netstate

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

// FromConfig reads a network configuration in one of cloud-init's own forms,
// version 1 or 2, as JSON, for a system that has these NICs. A document that has
// it below "network" is taken as well.
//
// problems are parts that make no sense, or are of a kind that is not known
// (bridges and tunnels are not), and were left out. An error means that nothing
// could be made of the document as a whole.
// cloud-init 22.4: net/network_state.py.
func FromConfig(data []byte, nics []NIC) (s *State, problems []string, err error) {
	var wrapped struct{ Network json.RawMessage }
	if json.Unmarshal(data, &wrapped) == nil && len(wrapped.Network) > 0 {
		data = wrapped.Network
	}
	var doc struct {
		Version number
		Config  []json.RawMessage
		devices2
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, nil, fmt.Errorf("read network config: %w", err)
	}
	if len(doc.Config) > MaxLinks || doc.count() > MaxLinks {
		return nil, nil, fmt.Errorf("read network config: more than %d links", MaxLinks)
	}
	c := converter{nics: nics, names: map[string]string{}}
	switch doc.Version {
	case 1:
		for n, raw := range doc.Config {
			if err := c.entry(raw); err != nil {
				c.problem("network config, entry %d: %v", n+1, err)
			}
		}
	case 2:
		c.devices(doc.devices2)
	default:
		return nil, nil, fmt.Errorf("read network config: version %d is not known", doc.Version)
	}
	return &c.state, c.problems, nil
}

// entry is one of version 1.
type entry struct {
	Type, Name  text
	MAC         string `json:"mac_address"`
	MTU         number
	AcceptRA    *bool `json:"accept-ra"`
	WakeOnLAN   bool  `json:"wakeonlan"`
	Subnets     []subnet1
	Members     []text                     `json:"bond_interfaces"`
	Params      map[string]json.RawMessage `json:"params"`
	VLANLink    text                       `json:"vlan_link"`
	VLANID      number                     `json:"vlan_id"`
	Address     names
	Search      names
	Destination string
	route
}

// subnet1 is a subnet of version 1.
type subnet1 struct {
	Type, Control text
	Address       string
	Netmask       text
	Broadcast     string
	Gateway       string
	MTU           number
	Metric        number
	DNS           names `json:"dns_nameservers"`
	Search        names `json:"dns_search"`
	Routes        []route1
}

type route1 struct {
	route
	Destination string
}

func (c *converter) entry(raw json.RawMessage) error {
	var e entry
	if err := json.Unmarshal(raw, &e); err != nil {
		return err
	}
	what := fmt.Sprintf("network config, %.40q", string(e.Name))
	link := Link{Name: string(e.Name), Type: Physical, MAC: strings.ToLower(e.MAC), AcceptRA: e.AcceptRA, WakeOnLAN: e.WakeOnLAN}
	switch e.Type {
	case "nameserver":
		c.state.DNS = append(c.state.DNS, c.addresses(what, e.Address)...)
		c.state.Search = append(c.state.Search, c.domains(what, e.Search)...)
		return nil
	case "route":
		r, err := route1{e.route, e.Destination}.route1()
		if err == nil {
			c.state.Routes = append(c.state.Routes, r)
		}
		return err
	case "physical":
	case "loopback":
		link.Type = Loopback
	case "infiniband":
		link.Type = Infiniband
	case "bond":
		link.Type, link.Bond = BondLink, &Bond{Members: plain(e.Members), Params: c.params(what, e.Params)}
	case "vlan":
		link.Type, link.VLAN = VLANLink, &VLAN{ID: int(e.VLANID), Link: string(e.VLANLink)}
	default:
		return fmt.Errorf("type %.40q is not known", string(e.Type))
	}
	for _, s := range e.Subnets {
		made, err := c.subnet1(what, s)
		if err != nil {
			c.problem("%s: %v", what, err)
			continue
		}
		link.Subnets = append(link.Subnets, made)
	}
	return c.addLink(link, int(e.MTU))
}

// addLink checks what ends up in files and commands.
func (c *converter) addLink(l Link, mtu int) error {
	for _, name := range append([]string{l.Name}, l.below()...) {
		if !ifnameRE.MatchString(name) {
			return fmt.Errorf("%.40q is no name of an interface", name)
		}
	}
	if l.VLAN != nil && (l.VLAN.ID < 0 || l.VLAN.ID > 4094) {
		return fmt.Errorf("VLAN %d", l.VLAN.ID)
	}
	if l.MAC != "" && !wordRE.MatchString(l.MAC) {
		return fmt.Errorf("hardware address %.40q", l.MAC)
	}
	if l.MTU = mtu; mtu < 0 || mtu > 1<<16 {
		c.problem("network config, %s: MTU %d", l.Name, mtu)
		l.MTU = 0
	}
	c.state.Links = append(c.state.Links, l)
	return nil
}

// below are the links that one is built upon.
func (l Link) below() []string {
	switch {
	case l.Bond != nil:
		return l.Bond.Members
	case l.VLAN != nil:
		return []string{l.VLAN.Link}
	}
	return nil
}

// methods1 are the types of subnets that are not static.
var methods1 = map[text]Method{
	"dhcp": DHCP4, "dhcp4": DHCP4, "dhcp6": DHCP6, "ipv6_slaac": SLAAC, "ipv6_dhcpv6-stateless": DHCP6Info,
	"ipv6_dhcpv6-stateful": DHCP6Stateful, "manual": Manual,
}

func (c *converter) subnet1(what string, in subnet1) (Subnet, error) {
	s := Subnet{Method: methods1[in.Type], DNS: c.addresses(what, in.DNS), Search: c.domains(what, in.Search),
		MTU: int(max(in.MTU, 0)), Metric: int(max(in.Metric, 0)), ByHand: in.Control == "manual"}
	switch in.Type {
	case "static", "static6", "static4":
		s.Method = Static
	}
	var err error
	switch {
	case s.Method == "":
		return Subnet{}, fmt.Errorf("subnet of type %.40q is not known", string(in.Type))
	case s.Method == Static:
		if s.Address, err = prefixOf(in.Address, string(in.Netmask)); err != nil {
			return Subnet{}, err
		}
	}
	s.Gateway, s.Broadcast = c.address(what, in.Gateway), c.address(what, in.Broadcast)
	for _, r := range in.Routes {
		made, err := r.route1()
		if err != nil {
			c.problem("%s: %v", what, err)
			continue
		}
		s.Routes = append(s.Routes, made)
	}
	return s, nil
}

// prefixOf is an address with its own length or with a mask.
func prefixOf(address, mask string) (netip.Prefix, error) {
	if mask == "" {
		if p, err := netip.ParsePrefix(address); err == nil {
			return p, nil
		}
	}
	return prefix(address, mask)
}

func (c *converter) address(what, s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	if all := c.addresses(what, names{s}); len(all) == 1 {
		return all[0]
	}
	return netip.Addr{}
}

func (r route1) route1() (Route, error) {
	to := r.Network
	if to == "" {
		to = r.Destination
	}
	return makeRoute(to, string(r.Netmask), r.Gateway, int(r.Metric))
}

func makeRoute(to, mask, via string, metric int) (Route, error) {
	gateway, err := netip.ParseAddr(via)
	if err != nil || gateway.Zone() != "" {
		return Route{}, fmt.Errorf("route %.60q via %.60q", to, via)
	}
	if to == "default" || to == "" {
		to = "0.0.0.0/0"
		if gateway.Is6() {
			to = "::/0"
		}
	}
	dest, err := prefixOf(to, mask)
	if err != nil || dest.Addr().Is4() != gateway.Is4() {
		return Route{}, fmt.Errorf("route %.60q via %.60q", to, via)
	}
	return Route{To: dest, Via: gateway, Metric: max(metric, 0)}, nil
}
