package dhcpagent

import (
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

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
			if diff := cmp.Diff(tc.want, got); diff != "" || tc.cfg.metadataHere(n) != tc.here || d.Server != a(tc.server) {
				t.Errorf("metadata here %v, server %v, routes (-want +got):\n%s", tc.cfg.metadataHere(n), d.Server, diff)
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
			{MAC: "fa:16:3e:00:00:01", Addrs: []netip.Addr{a("2001:db8::5"), a("10.9.0.5"), a("10.0.0.5"), a("10.0.0.6")}},
			{MAC: "fa:16:3e:00:00:02", Addrs: []netip.Addr{a("10.9.0.6")}},
			{MAC: "fa:16:3e:00:00:03"},
		},
	}
	port := cloud.DesiredPort{Addrs: []cloud.PortAddr{
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
	got, err := told.network()
	if err != nil {
		t.Fatal(err)
	}
	want := &dhcp.Network{
		Subnets: []dhcp.Subnet{{Prefix: netip.MustParsePrefix("10.0.0.0/24"), Server: a("10.0.0.2"), Gateway: a("10.0.0.9")}},
		Domain:  "example.org", MTU: 1450,
		Hosts: map[dhcp.MAC]dhcp.Host{{0xfa, 0x16, 0x3e, 0, 0, 1}: {Addr: a("10.0.0.5")}},
	}
	equal := []cmp.Option{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })}
	if diff := cmp.Diff(want, got, equal...); diff != "" {
		t.Errorf("network (-want +got):\n%s", diff)
	}
	if _, err := (served{Hosts: []host{{MAC: "nonsense"}}}).network(); err == nil {
		t.Error("a host without a MAC was taken")
	}
}
