// Package netstate is a network configuration as one model, whatever it came
// from: links, their addresses, routes and name servers.
//
// Sources are cloud-init's own forms, OpenStack's network_data.json and
// interfaces(5) (read as
// cloud-init 22.4 reads them) and, where nothing was configured, the first NIC
// by DHCP. What becomes of
// the model is the business of netrender (files) and netapply (the kernel).
package netstate

import "net/netip"

// State is a whole configuration. It is a plain value and survives JSON.
type State struct {
	Links []Link `json:"links"`
	// DNS and Search are those of no link in particular.
	DNS    []netip.Addr `json:"dns,omitempty"`
	Search []string     `json:"search,omitempty"`
	// Routes are those of no link in particular.
	Routes []Route `json:"routes,omitempty"`
}

// LinkType tells how a link comes to be.
type LinkType string

// The link types; Physical ones exist already.
const (
	Loopback   LinkType = "loopback"
	Physical   LinkType = "physical"
	Infiniband LinkType = "infiniband"
	BondLink   LinkType = "bond"
	VLANLink   LinkType = "vlan"
)

// Link is one interface by its name in this system.
type Link struct {
	Name string   `json:"name"`
	Type LinkType `json:"type"`
	// MAC is in colon form; what finds a physical link, what a bond or VLAN is
	// given.
	MAC string `json:"mac,omitempty"`
	// MTU zero leaves it alone.
	MTU int `json:"mtu,omitempty"`
	// AcceptRA is nil where nothing was said of router advertisements.
	AcceptRA *bool `json:"accept_ra,omitempty"`
	// WakeOnLAN asks for magic packets to be honoured.
	WakeOnLAN bool `json:"wake_on_lan,omitempty"`
	// Subnets in their order; none means that the link is just there.
	Subnets []Subnet `json:"subnets,omitempty"`
	Bond    *Bond    `json:"bond,omitempty"`
	VLAN    *VLAN    `json:"vlan,omitempty"`
}

// Bond is what makes a link of type BondLink.
type Bond struct {
	// Members are the names of links in the same State.
	Members []string `json:"members"`
	// Params are as the source spelt them (bond_mode, bond-miimon …).
	Params map[string]string `json:"params,omitempty"`
}

// VLAN is what makes a link of type VLANLink.
type VLAN struct {
	ID   int    `json:"id"`
	Link string `json:"link"`
}

// Method is how a subnet gets its address; the words are cloud-init's.
type Method string

// The methods.
const (
	DHCP4         Method = "dhcp4"
	DHCP6         Method = "dhcp6"
	SLAAC         Method = "ipv6_slaac"
	DHCP6Stateful Method = "ipv6_dhcpv6-stateful"
	DHCP6Info     Method = "ipv6_dhcpv6-stateless"
	Static        Method = "static"
	Manual        Method = "manual"
)

// Subnet is one address, or one way to get one, on a link.
type Subnet struct {
	Method Method `json:"method"`
	// Address is set for Static only: the host's address and prefix length.
	Address netip.Prefix `json:"address,omitzero"`
	Gateway netip.Addr   `json:"gateway,omitzero"`
	// Broadcast is the network's last address unless something else is said.
	Broadcast netip.Addr   `json:"broadcast,omitzero"`
	DNS       []netip.Addr `json:"dns,omitempty"`
	Search    []string     `json:"search,omitempty"`
	Routes    []Route      `json:"routes,omitempty"`
	// MTU goes before the link's, for IPv4.
	MTU int `json:"mtu,omitempty"`
	// Metric is of the routes that DHCP brings; zero leaves it alone.
	Metric int `json:"metric,omitempty"`
	// ByHand keeps the subnet from coming up at boot.
	ByHand bool `json:"by_hand,omitempty"`
}

// Route is one more way out.
type Route struct {
	To     netip.Prefix `json:"to"`
	Via    netip.Addr   `json:"via"`
	Metric int          `json:"metric,omitempty"`
}

// Is6 tells whether the subnet is one of IPv6.
func (s Subnet) Is6() bool {
	switch s.Method {
	case DHCP6, SLAAC, DHCP6Stateful, DHCP6Info:
		return true
	}
	return s.Address.IsValid() && s.Address.Addr().Is6()
}
