package netstate

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// MaxInterfaces bounds a text of the form interfaces(5), in bytes.
const MaxInterfaces = 1 << 20

// FromInterfaces reads a configuration in the form of interfaces(5), as Nova
// puts it on a config drive (virt/interfaces.template), for a system that has
// these NICs: stanzas of the families inet and inet6, static, dhcp, auto or
// manual. A link is found by its hwaddress where there is one, else by name.
//
// problems are parts that make no sense and were left out; an error means that
// nothing could be made of the text, [ErrNoNIC] that a NIC is missing.
// cloud-init 22.4: net/eni.py, convert_eni_data. Departing from it, a link may
// have stanzas of both families, which Nova writes and cloud-init refuses, and
// a source line is not followed: it would read files of this system.
func FromInterfaces(data []byte, nics []NIC) (s *State, problems []string, err error) {
	if len(data) > MaxInterfaces {
		return nil, nil, fmt.Errorf("interfaces: %d bytes, the limit is %d", len(data), MaxInterfaces)
	}
	p := stanzaParser{auto: map[string]bool{}}
	p.parse(data)
	c := converter{nics: nics, problems: p.problems}
	if err := c.stanzas(p); err != nil {
		return nil, nil, fmt.Errorf("interfaces: %w", err)
	}
	return &c.state, c.problems, nil
}

// stanza is an iface paragraph; values are those of options, word by word.
type stanza struct {
	name, family, method string
	options              map[string][]string
}

type stanzaParser struct {
	stanzas  []stanza
	auto     map[string]bool
	problems []string
}

func (p *stanzaParser) parse(data []byte) {
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, MaxInterfaces+1)
	for lines.Scan() {
		if words := strings.Fields(lines.Text()); len(words) > 0 && words[0][0] != '#' {
			p.line(words)
		}
	}
}

func (p *stanzaParser) line(words []string) {
	switch key := words[0]; {
	case key == "auto" || key == "allow-auto" || key == "allow-hotplug":
		for _, name := range words[1:] {
			p.auto[name] = true
		}
	case key == "iface" && len(words) == 4 && len(p.stanzas) < MaxLinks:
		p.stanzas = append(p.stanzas, stanza{words[1], words[2], words[3], map[string][]string{}})
	case slices.Contains(knownOptions(), key) && len(words) > 1 && len(p.stanzas) > 0:
		p.stanzas[len(p.stanzas)-1].options[key] = words[1:]
	default:
		p.problems = append(p.problems, fmt.Sprintf("line %.60q is not understood", strings.Join(words, " ")))
	}
}

func knownOptions() []string {
	return []string{"hwaddress", "address", "netmask", "broadcast", "gateway", "dns-nameservers", "dns-search"}
}

// first is an option's first value.
func (s stanza) first(key string) string {
	if v := s.options[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// mac is the last word of "hwaddress ether fa:16:3e:00:00:01", or "".
func (s stanza) mac() string {
	v := s.options["hwaddress"]
	if len(v) == 0 {
		return ""
	}
	return strings.ToLower(v[len(v)-1])
}

func (c *converter) stanzas(p stanzaParser) error {
	for _, s := range p.stanzas {
		if s.name == "lo" {
			c.state.DNS = append(c.state.DNS, c.addresses("lo", s.options["dns-nameservers"])...)
			c.state.Search = append(c.state.Search, c.domains("lo", s.options["dns-search"])...)
			continue
		}
		l, err := c.stanzaLink(s)
		if err != nil {
			return err
		}
		if l == nil {
			continue
		}
		sub, err := c.stanzaSubnet(s)
		if err != nil {
			c.problem("%s %s: %v", s.name, s.family, err)
			continue
		}
		sub.ByHand = !p.auto[s.name]
		l.Subnets = append(l.Subnets, sub)
	}
	if len(c.state.Links) == 0 && len(c.problems) > 0 {
		return errors.New(c.problems[0])
	}
	return nil
}

// stanzaLink is the link that a stanza is for, new or already there; nil if
// this system has none of that name.
func (c *converter) stanzaLink(s stanza) (*Link, error) {
	name, _, _ := strings.Cut(s.name, ":") // eth0:1 is one more address of eth0
	mac := s.mac()
	nic, ok := byMAC(c.nics, mac)
	switch {
	case mac != "" && !ok:
		return nil, fmt.Errorf("%s: %w: %.40q", name, ErrNoNIC, mac)
	case mac == "":
		at := slices.IndexFunc(c.nics, func(n NIC) bool { return n.Name == name })
		if at < 0 {
			c.problem("%.20q: no NIC of this name", name)
			return nil, nil
		}
		nic = c.nics[at]
	}
	at := slices.IndexFunc(c.state.Links, func(l Link) bool { return l.Name == nic.Name })
	if at < 0 {
		at = len(c.state.Links)
		c.state.Links = append(c.state.Links, Link{Name: nic.Name, Type: Physical, MAC: mac})
	}
	return &c.state.Links[at], nil
}

func (c *converter) stanzaSubnet(s stanza) (Subnet, error) {
	sub := Subnet{DNS: c.addresses(s.name, s.options["dns-nameservers"]), Search: c.domains(s.name, s.options["dns-search"])}
	switch s.family + " " + s.method {
	case "inet dhcp":
		sub.Method = DHCP4
	case "inet6 dhcp":
		sub.Method = DHCP6
	case "inet6 auto":
		sub.Method = SLAAC
	case "inet manual", "inet6 manual":
		sub.Method = Manual
	case "inet static", "inet6 static":
		sub.Method = Static
		if err := c.static(&sub, s); err != nil {
			return Subnet{}, err
		}
	default:
		return Subnet{}, fmt.Errorf("method %.20q is not known", s.method)
	}
	return sub, nil
}

func (c *converter) static(sub *Subnet, s stanza) (err error) {
	is4 := s.family == "inet"
	if sub.Address, err = prefix(s.first("address"), s.first("netmask")); err != nil {
		return err
	}
	if sub.Address.Addr().Is4() != is4 {
		return fmt.Errorf("address %s is of another family", sub.Address)
	}
	sub.Gateway = c.neighbour(s, "gateway", is4)
	sub.Broadcast = c.neighbour(s, "broadcast", is4)
	return nil
}

// neighbour is an option that is an address of the stanza's family; the zero
// address if there is none.
func (c *converter) neighbour(s stanza, key string, is4 bool) netip.Addr {
	word := s.first(key)
	a, err := netip.ParseAddr(word)
	if word != "" && (err != nil || a.Is4() != is4 || a.Zone() != "") {
		c.problem("%s: %s %.60q", s.name, key, word)
		return netip.Addr{}
	}
	return a
}
