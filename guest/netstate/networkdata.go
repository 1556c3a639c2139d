package netstate

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"strings"
)

// ErrNoNIC says that network_data.json speaks of a link that this system has
// no interface for.
var ErrNoNIC = errors.New("no NIC with this hardware address")

// MaxLinks bounds the links and the networks of one document.
const MaxLinks = 1024

// networkData is network_data.json.
// nova 26: virt/netutils.py, get_network_metadata.
type networkData struct {
	Links    []map[string]json.RawMessage
	Networks []network
	Services []service
}

type network struct {
	ID      text
	Type    string
	Link    text
	Address string `json:"ip_address"`
	Netmask text
	Gateway string
	MTU     number
	Routes  []route
	DNS     names `json:"dns_nameservers"`
	Search  names `json:"dns_search"`
}

type route struct {
	Network string
	Netmask text
	Gateway string
	Metric  number
}

type service struct{ Address names }

// FromNetworkData reads OpenStack's network_data.json for a system that has
// these NICs, as cloud-init 22.4 does (sources/helpers/openstack.py,
// convert_net_json): links are found by hardware address, bonds named bond0,
// bond1 and so on, and name servers are the document's, not the networks'.
//
// problems are parts that make no sense and were left out. An error means that
// nothing could be made of the document as a whole; [ErrNoNIC] that a NIC is
// missing. Departing from cloud-init, which takes over any text, addresses and
// names are checked: they end up in files of the system.
func FromNetworkData(data []byte, nics []NIC) (s *State, problems []string, err error) {
	var doc networkData
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, nil, fmt.Errorf("read network_data.json: %w", err)
	}
	if len(doc.Links) > MaxLinks || len(doc.Networks) > MaxLinks {
		return nil, nil, fmt.Errorf("read network_data.json: more than %d links or networks", MaxLinks)
	}
	c := converter{doc: doc, nics: nics, names: map[string]string{}}
	if err := c.convert(); err != nil {
		return nil, nil, fmt.Errorf("read network_data.json: %w", err)
	}
	return &c.state, c.problems, nil
}

type converter struct {
	doc      networkData
	nics     []NIC
	names    map[string]string // link id → name in this system
	bonds    int
	state    State
	problems []string
}

func (c *converter) problem(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

func (c *converter) convert() error {
	for _, raw := range c.doc.Links {
		if err := c.link(raw); err != nil {
			return err
		}
	}
	for i := range c.state.Links {
		c.resolve(&c.state.Links[i])
	}
	for _, n := range c.doc.Networks {
		if _, known := c.names[string(n.Link)]; !known {
			c.problem("network %s: no link %s", n.ID, n.Link)
		}
	}
	for _, s := range c.doc.Services {
		c.state.DNS = append(c.state.DNS, c.addresses("service", s.Address)...)
	}
	return nil
}

var ifnameRE = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,15}$`)

func (c *converter) link(raw map[string]json.RawMessage) error {
	var l struct {
		ID, Type, Name text
		MAC            string `json:"ethernet_mac_address"`
		MTU            number
		BondLinks      []text `json:"bond_links"`
		VLANLink       text   `json:"vlan_link"`
		VLANID         number `json:"vlan_id"`
		VLANMAC        string `json:"vlan_mac_address"`
	}
	if err := remarshal(raw, &l); err != nil {
		return fmt.Errorf("link %s: %w", raw["id"], err)
	}
	out := Link{Name: string(l.Name), Type: Physical, MTU: int(l.MTU), MAC: strings.ToLower(l.MAC)}
	switch l.Type {
	case "bond":
		out.Type, out.Name = BondLink, fmt.Sprintf("bond%d", c.bonds)
		c.bonds++
		out.Bond = &Bond{Members: plain(l.BondLinks), Params: c.bondParams(raw)}
	case "vlan":
		// The name follows when that of the link below is known.
		out.Type, out.Name, out.MAC = VLANLink, "", l.VLANMAC
		out.VLAN = &VLAN{ID: int(l.VLANID), Link: string(l.VLANLink)}
	default:
		if err := c.physical(&out); err != nil {
			return fmt.Errorf("link %s: %w", l.ID, err)
		}
	}
	if out.MTU < 0 || out.MTU > 1<<16 {
		c.problem("link %s: MTU %d", l.ID, out.MTU)
		out.MTU = 0
	}
	c.names[string(l.ID)] = out.Name
	c.subnets(&out, string(l.ID))
	c.state.Links = append(c.state.Links, out)
	return nil
}

func (c *converter) physical(l *Link) error {
	if l.Name != "" {
		if !ifnameRE.MatchString(l.Name) {
			return fmt.Errorf("name %q", l.Name)
		}
		return nil
	}
	nic, ok := byMAC(c.nics, l.MAC)
	if l.MAC == "" || !ok {
		return fmt.Errorf("%w: %q", ErrNoNIC, l.MAC)
	}
	l.Name = nic.Name
	return nil
}

// resolve turns link ids into names, now that all are known.
func (c *converter) resolve(l *Link) {
	if l.VLAN != nil {
		l.VLAN.Link = c.name(l.VLAN.Link)
		l.Name = fmt.Sprintf("%s.%d", l.VLAN.Link, l.VLAN.ID)
	}
	if l.Bond != nil {
		for i, id := range l.Bond.Members {
			l.Bond.Members[i] = c.name(id)
		}
	}
}

func (c *converter) name(id string) string {
	name, ok := c.names[id]
	if !ok || name == "" {
		c.problem("link %s: not there, but another needs it", id)
	}
	return name
}

func (c *converter) bondParams(raw map[string]json.RawMessage) map[string]string {
	bond := maps.Clone(raw)
	maps.DeleteFunc(bond, func(k string, _ json.RawMessage) bool { return !strings.HasPrefix(k, "bond") || k == "bond_links" })
	return c.params("bond", bond)
}

// params are texts by name.
func (c *converter) params(what string, raw map[string]json.RawMessage) map[string]string {
	params := map[string]string{}
	for k, v := range raw {
		var value text
		if err := json.Unmarshal(v, &value); err != nil || !wordRE.MatchString(k) || !wordRE.MatchString(string(value)) {
			c.problem("%s: parameter %.40q: %.40q", what, k, v)
			continue
		}
		params[k] = string(value)
	}
	return params
}

var wordRE = regexp.MustCompile(`^[A-Za-z0-9_.:+,@/-]+$`)

func (c *converter) addresses(what string, list names) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		a, err := netip.ParseAddr(s)
		if err != nil {
			c.problem("%s: %.60q is no address", what, s)
			continue
		}
		out = append(out, a)
	}
	return out
}

func remarshal(raw map[string]json.RawMessage, v any) error {
	b, err := json.Marshal(raw)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

func plain(list []text) []string {
	out := make([]string, len(list))
	for i, t := range list {
		out[i] = string(t)
	}
	return out
}
