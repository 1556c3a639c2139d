package netstate

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// devices2 are those of version 2, by kind and name. cloud-init's form is
// netplan's (https://netplan.readthedocs.io/en/stable/netplan-yaml/).
type devices2 struct {
	Ethernets, Bonds, VLANs, Bridges, Tunnels, WiFis map[string]json.RawMessage
}

func (d devices2) count() int {
	return len(d.Ethernets) + len(d.Bonds) + len(d.VLANs) + len(d.Bridges) + len(d.Tunnels) + len(d.WiFis)
}

// device2 is one of version 2.
type device2 struct {
	Match     struct{ MACAddress string }
	SetName   text `json:"set-name"`
	MTU       number
	AcceptRA  *bool `json:"accept-ra"`
	WakeOnLAN bool  `json:"wakeonlan"`
	MAC       string
	DHCP4     bool
	DHCP6     bool
	Override4 override `json:"dhcp4-overrides"`
	Override6 override `json:"dhcp6-overrides"`
	Addresses names
	Gateway4  string
	Gateway6  string
	DNS       struct{ Addresses, Search names } `json:"nameservers"`
	Routes    []struct {
		To, Via string
		Metric  number
	}
	Interfaces []text
	Parameters map[string]json.RawMessage
	ID         number
	Link       text
}

type override struct {
	Metric number `json:"route-metric"`
}

// devices adds all of version 2, what others are built upon first.
func (c *converter) devices(d devices2) {
	for _, kind := range []struct {
		of   LinkType
		many map[string]json.RawMessage
	}{{Physical, d.Ethernets}, {BondLink, d.Bonds}, {VLANLink, d.VLANs}, {"bridge", d.Bridges}, {"tunnel", d.Tunnels}, {"wifi", d.WiFis}} {
		for _, name := range slices.Sorted(maps.Keys(kind.many)) {
			if err := c.device(kind.of, name, kind.many[name]); err != nil {
				c.problem("network config, %.40q: %v", name, err)
			}
		}
	}
}

func (c *converter) device(of LinkType, name string, raw json.RawMessage) error {
	var d device2
	if err := json.Unmarshal(raw, &d); err != nil {
		return err
	}
	l := Link{Name: name, Type: of, MAC: strings.ToLower(d.Match.MACAddress), AcceptRA: d.AcceptRA, WakeOnLAN: d.WakeOnLAN}
	switch of {
	case Physical:
		if d.SetName != "" {
			l.Name = string(d.SetName)
		}
	case BondLink:
		l.Bond = &Bond{Members: plain(d.Interfaces), Params: c.params(name, d.Parameters)}
	case VLANLink:
		l.VLAN = &VLAN{ID: int(d.ID), Link: string(d.Link)}
	default:
		return errors.New("is a " + string(of) + ", which is not known")
	}
	l.Subnets = c.subnets2(name, d)
	return c.addLink(l, int(d.MTU))
}

// subnets2: DHCP first, then the addresses; what is of no address in particular
// goes with the first.
func (c *converter) subnets2(name string, d device2) []Subnet {
	what := fmt.Sprintf("network config, %.40q", name)
	var all []Subnet
	if d.DHCP4 {
		all = append(all, Subnet{Method: DHCP4, Metric: int(max(d.Override4.Metric, 0))})
	}
	if d.DHCP6 {
		all = append(all, Subnet{Method: DHCP6, Metric: int(max(d.Override6.Metric, 0))})
	}
	for _, a := range d.Addresses {
		p, err := prefixOf(a, "")
		if err != nil {
			c.problem("%s: %v", what, err)
			continue
		}
		all = append(all, Subnet{Method: Static, Address: p})
	}
	for _, gateway := range []netip.Addr{c.address(what, d.Gateway4), c.address(what, d.Gateway6)} {
		for n := range all {
			if a := all[n].Address; gateway.IsValid() && a.IsValid() && a.Addr().Is4() == gateway.Is4() {
				all[n].Gateway = gateway
				break
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	all[0].DNS, all[0].Search = c.addresses(what, d.DNS.Addresses), c.domains(what, d.DNS.Search)
	for _, r := range d.Routes {
		made, err := makeRoute(r.To, "", r.Via, int(r.Metric))
		if err != nil {
			c.problem("%s: %v", what, err)
			continue
		}
		all[0].Routes = append(all[0].Routes, made)
	}
	return all
}
