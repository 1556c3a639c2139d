package network

import (
	"slices"

	"imprint/host/api"
	"imprint/host/cloud"
)

// Bounds of a port's DHCP options. neutron_lib/db/constants.py
// DHCP_OPT_NAME_MAX_LEN, DHCP_OPT_VALUE_MAX_LEN; the number is ours.
const (
	maxOptions   = 32
	maxOptName   = 64
	maxOptValue  = 255
	optRouter    = "router"
	optRoutesOpt = "classless-static-route"
)

// dhcpChange is what a request says of one DHCP option of a port.
type dhcpChange struct {
	cloud.DHCPOption
	remove bool // its value was null
}

// readDHCPOptions reads extra_dhcp_opts. Only two options may be empty, which
// keeps what the subnet has for them from the port. neutron_lib:
// api/definitions/extra_dhcp_opt.py
func readDHCPOptions(o *api.Object) []dhcpChange {
	var all []dhcpChange
	for _, item := range o.Objects("extra_dhcp_opts", maxOptions) {
		c := dhcpChange{DHCPOption: cloud.DHCPOption{
			Name: item.Name("opt_name", maxOptName), Value: item.Text("opt_value", 0, maxOptValue),
			IPVersion: item.Int("ip_version", 4, 4, 6),
		}}
		item.Require("opt_name")
		item.Ignore("id")
		c.remove = !item.Has("opt_value")
		blank := c.Name == optRouter || c.Name == optRoutesOpt
		if !c.remove && c.Value == "" && !blank {
			item.Fail("opt_value", "It must not be empty.")
		}
		if c.IPVersion == 5 {
			item.Fail("ip_version", "It must be 4 or 6.")
		}
		if slices.ContainsFunc(all, c.same) {
			o.Fail("extra_dhcp_opts", "An option must not be given twice.")
		}
		all = append(all, c)
	}
	return all
}

func (c dhcpChange) same(o dhcpChange) bool { return c.is(o.DHCPOption) }

func (c dhcpChange) is(o cloud.DHCPOption) bool {
	return c.Name == o.Name && c.IPVersion == o.IPVersion
}

// applyDHCPOptions returns the options with the changes made: null removes an
// option, those that are not named stay. neutron: db/extradhcpopt_db.py
func applyDHCPOptions(have []cloud.DHCPOption, changes []dhcpChange) []cloud.DHCPOption {
	have = slices.Clone(have)
	for _, c := range changes {
		i := slices.IndexFunc(have, c.is)
		switch {
		case i >= 0 && c.remove:
			have = slices.Delete(have, i, i+1)
		case i >= 0:
			have[i].Value = c.Value
		case !c.remove:
			have = append(have, c.DHCPOption)
		}
	}
	return have
}
