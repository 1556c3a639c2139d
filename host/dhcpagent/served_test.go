package dhcpagent

import (
	"encoding/json"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"imprint/base/dhcp"
	"imprint/host/cloud"
)

// The networks of a real Neutron 21.0.0 and the routes that its dnsmasq
// offered, in the offers' order.
func TestRoutesAsNeutronGivesThem(t *testing.T) {
	a := netip.MustParseAddr
	hostRoute := []cloud.Route{{Destination: netip.MustParsePrefix("198.51.100.0/24"), NextHop: a("10.10.4.254")}}
	routed := cloud.DesiredSubnet{ID: "s", CIDR: netip.MustParsePrefix("10.10.1.0/24"), Gateway: a("10.10.1.1"), Router: a("10.10.1.1"), DHCP: true}
	withRoute := cloud.DesiredSubnet{ID: "s", CIDR: netip.MustParsePrefix("10.10.4.0/24"), Gateway: a("10.10.4.1"), Router: a("10.10.4.1"), DHCP: true, HostRoutes: hostRoute}
	isolated := cloud.DesiredSubnet{ID: "s", CIDR: netip.MustParsePrefix("10.10.2.0/24"), Gateway: a("10.10.2.1"), DHCP: true}
	noGateway := cloud.DesiredSubnet{ID: "s", CIDR: netip.MustParsePrefix("10.10.5.0/24"), DHCP: true}
	const metadata = "169.254.169.254/32 via "
	tests := []struct {
		name   string
		cfg    Config
		subnet cloud.DesiredSubnet
		server string
		want   []string
		here   bool
	}{
		{"routed", Config{IsolatedMetadata: true}, routed, "10.10.1.2", []string{metadata + "10.10.1.1", "gateway 10.10.1.1"}, false},
		{"isolated", Config{IsolatedMetadata: true}, isolated, "10.10.2.2", []string{metadata + "10.10.2.2", "gateway 10.10.2.1"}, true},
		{"routed with a host route", Config{IsolatedMetadata: true}, withRoute, "10.10.4.2",
			[]string{"198.51.100.0/24 via 10.10.4.254", metadata + "10.10.4.1", "gateway 10.10.4.1"}, false},
		{"isolated without gateway", Config{IsolatedMetadata: true}, noGateway, "10.10.5.1", []string{metadata + "10.10.5.1"}, true},
		{"routed, forced", Config{ForceMetadata: true}, routed, "10.10.1.2", []string{metadata + "10.10.1.2", "gateway 10.10.1.1"}, true},
		{"routed with a host route, forced", Config{ForceMetadata: true}, withRoute, "10.10.4.2",
			[]string{"198.51.100.0/24 via 10.10.4.254", metadata + "10.10.4.2", "gateway 10.10.4.1"}, true},
		{"routed, both off", Config{}, routed, "10.10.1.2", []string{metadata + "10.10.1.1", "gateway 10.10.1.1"}, false},
		{"isolated, both off", Config{}, isolated, "10.10.2.2", []string{"gateway 10.10.2.1"}, false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			n := cloud.DesiredNetwork{Subnets: []cloud.DesiredSubnet{tc.subnet}}
			port := cloud.DesiredPort{Addrs: []cloud.PortAddr{{SubnetID: "s", Prefix: netip.PrefixFrom(a(tc.server), 24)}}}
			d := tc.cfg.served(n, port).Subnets[0]
			var got []string
			for _, r := range d.Routes {
				got = append(got, r.To.String()+" via "+r.Via.String())
			}
			if d.Gateway.IsValid() {
				got = append(got, "gateway "+d.Gateway.String())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || (len(tc.cfg.metadataOn(n)) > 0) != tc.here || d.Server != a(tc.server) {
				t.Errorf("metadata here %v, server %v, routes (-want +got):\n%s", tc.cfg.metadataOn(n), d.Server, diff)
			}
		})
	}
}

func TestServedHosts(t *testing.T) {
	a := netip.MustParseAddr
	n := cloud.DesiredNetwork{
		MTU: 1450,
		Subnets: []cloud.DesiredSubnet{
			{ID: "off", CIDR: netip.MustParsePrefix("10.9.0.0/24")},
			{ID: "six", CIDR: netip.MustParsePrefix("2001:db8::/64"), DHCP: true},
			{ID: "on", CIDR: netip.MustParsePrefix("10.0.0.0/24"), DHCP: true, HostRoutes: []cloud.Route{
				{Destination: netip.MustParsePrefix("0.0.0.0/0"), NextHop: a("10.0.0.9")},
				{Destination: netip.MustParsePrefix("2001:db8:1::/48"), NextHop: a("2001:db8::1")},
			}},
			{ID: "unserved", CIDR: netip.MustParsePrefix("10.1.0.0/24"), DHCP: true},
		},
		Hosts: []cloud.Host{
			{MAC: "fa:16:3e:00:00:01", Addrs: []netip.Addr{a("2001:db8::5"), a("10.9.0.5"), a("10.0.0.5"), a("10.0.0.6")}, Options: []cloud.DHCPOption{
				{Name: "bootfile-name", Value: "x", IPVersion: 4}, {Name: "no-such-thing", Value: "x", IPVersion: 4}, {Name: "dns-server", Value: "x\n", IPVersion: 6},
			}},
			{MAC: "fa:16:3e:00:00:02", Addrs: []netip.Addr{a("10.9.0.6")}},
			{MAC: "fa:16:3e:00:00:03"},
		},
	}
	port := cloud.DesiredPort{ID: "00000000-0000-0000-0000-000000000001", Addrs: []cloud.PortAddr{
		{SubnetID: "off", Prefix: netip.MustParsePrefix("10.9.0.2/24")},
		{SubnetID: "six", Prefix: netip.MustParsePrefix("2001:db8::2/64")},
		{SubnetID: "on", Prefix: netip.MustParsePrefix("10.0.0.2/24")},
	}}
	// As the worker gets it.
	data, err := json.Marshal(Config{Domain: "example.org"}.served(n, port))
	if err != nil {
		t.Fatal(err)
	}
	var told served
	if err := json.Unmarshal(data, &told); err != nil {
		t.Fatal(err)
	}
	told.Hosts = append(told.Hosts, host{MAC: "nonsense"})
	got, notes, err := told.answers()
	if err != nil {
		t.Fatal(err)
	}
	onLink := []dhcp.Route{
		{To: netip.MustParsePrefix("10.9.0.0/24"), Via: netip.IPv4Unspecified()}, {To: netip.MustParsePrefix("10.1.0.0/24"), Via: netip.IPv4Unspecified()},
	}
	want := &dhcp.Network{
		Subnets: []dhcp.Subnet{{Prefix: netip.MustParsePrefix("10.0.0.0/24"), Server: a("10.0.0.2"), Gateway: a("10.0.0.9"), DNS: []netip.Addr{a("10.0.0.2")}, Routes: onLink}},
		Domain:  "example.org", MTU: 1450,
		Hosts: map[dhcp.MAC]dhcp.Host{{0xfa, 0x16, 0x3e, 0, 0, 1}: {
			Addr: a("10.0.0.5"), Others: []netip.Addr{a("10.0.0.6")}, Options: []dhcp.Option{{Code: 67, Value: []byte("x")}},
		}},
	}
	equal := []cmp.Option{
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmpopts.EquateEmpty(),
	}
	if diff := cmp.Diff(want, got.dhcp4, equal...); diff != "" {
		t.Errorf("DHCPv4 (-want +got):\n%s", diff)
	}
	want6 := &dhcp.Network6{
		ServerID: dhcp.NewServerID([16]byte{15: 1}), Domain: "example.org",
		Subnets: []dhcp.Subnet6{{Prefix: netip.MustParsePrefix("2001:db8::/64"), Stateful: true, DNS: []netip.Addr{a("2001:db8::2")}}},
		Hosts:   map[dhcp.MAC]dhcp.Host6{{0xfa, 0x16, 0x3e, 0, 0, 1}: {Addrs: []netip.Addr{a("2001:db8::5")}}},
	}
	if diff := cmp.Diff(want6, got.dhcp6, equal...); diff != "" {
		t.Errorf("DHCPv6 (-want +got):\n%s", diff)
	}
	if len(notes) != 3 {
		t.Errorf("notes %v: want one of the host that is none, two of options", notes)
	}
	told.Domain = "example\n.org"
	if _, _, err := told.answers(); err == nil {
		t.Error("a domain with a line break was taken")
	}
}

func TestResolvers(t *testing.T) {
	a := netip.MustParseAddr
	for name, c := range map[string]struct {
		dns    []netip.Addr
		server string
		want   []netip.Addr
	}{
		"none":         {nil, "10.0.0.2", []netip.Addr{a("10.0.0.2")}},
		"named":        {[]netip.Addr{a("192.0.2.1"), a("2001:db8::1")}, "10.0.0.2", []netip.Addr{a("192.0.2.1")}},
		"switched off": {[]netip.Addr{a("0.0.0.0")}, "10.0.0.2", nil},
		"none, IPv6":   {nil, "2001:db8::2", []netip.Addr{a("2001:db8::2")}},
		"named, IPv6":  {[]netip.Addr{a("2001:db8::1")}, "2001:db8::2", []netip.Addr{a("2001:db8::1")}},
	} {
		if got := resolvers(cloud.DesiredSubnet{DNS: c.dns}, a(c.server)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// The metadata addresses in each situation, both families.
func TestMetadataOn(t *testing.T) {
	p, a := netip.MustParsePrefix, netip.MustParseAddr
	isolated := cloud.DesiredSubnet{CIDR: p("10.0.0.0/24"), DHCP: true}
	routed := cloud.DesiredSubnet{CIDR: p("10.0.1.0/24"), DHCP: true, Router: a("10.0.1.1")}
	special := cloud.DesiredSubnet{CIDR: p("169.254.0.0/24"), DHCP: true, Router: a("169.254.0.1")}
	six := cloud.DesiredSubnet{CIDR: p("2001:db8::/64"), DHCP: true, AddrMode: cloud.ModeSLAAC}
	six6 := cloud.DesiredSubnet{CIDR: p("2001:db8:1::/64"), DHCP: true, Router: a("2001:db8:1::1")}
	for name, c := range map[string]struct {
		cfg     Config
		subnets []cloud.DesiredSubnet
		want    []netip.Prefix
	}{
		"both off":               {Config{}, []cloud.DesiredSubnet{isolated, six}, nil},
		"isolated":               {Config{IsolatedMetadata: true}, []cloud.DesiredSubnet{isolated}, []netip.Prefix{metadata4, metadata6}},
		"routed":                 {Config{IsolatedMetadata: true}, []cloud.DesiredSubnet{routed}, nil},
		"forced":                 {Config{ForceMetadata: true}, []cloud.DesiredSubnet{routed}, []netip.Prefix{metadata4, metadata6}},
		"IPv6 only":              {Config{IsolatedMetadata: true}, []cloud.DesiredSubnet{six}, []netip.Prefix{metadata6}},
		"IPv6 only, routed":      {Config{IsolatedMetadata: true}, []cloud.DesiredSubnet{six6}, []netip.Prefix{metadata6}},
		"both, routed":           {Config{IsolatedMetadata: true}, []cloud.DesiredSubnet{routed, six6}, []netip.Prefix{metadata6}},
		"metadata network":       {Config{IsolatedMetadata: true, MetadataNetwork: true}, []cloud.DesiredSubnet{special}, []netip.Prefix{metadata4, metadata6}},
		"metadata network alone": {Config{MetadataNetwork: true}, []cloud.DesiredSubnet{special}, nil},
		"not switched on":        {Config{IsolatedMetadata: true}, []cloud.DesiredSubnet{special}, nil},
	} {
		if got := c.cfg.metadataOn(cloud.DesiredNetwork{Subnets: c.subnets}); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
