package openstack

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestCompleteNetwork: a trunk over a bond with a sub-port, two IPv4 subnets
// and one IPv6 subnet with DHCP, and a port without an address.
func TestCompleteNetwork(t *testing.T) {
	addr := netip.MustParseAddr
	v4 := Subnet{CIDR: netip.MustParsePrefix("10.0.0.0/24"), Gateway: addr("10.0.0.1"), DHCP: true, DNS: []netip.Addr{addr("192.0.2.53")},
		Addrs: []netip.Addr{addr("10.0.0.5"), addr("10.0.0.6")}}
	second := Subnet{CIDR: netip.MustParsePrefix("10.1.0.0/16"), Gateway: addr("10.1.0.1"), Addrs: []netip.Addr{addr("10.1.0.5")}}
	v6 := Subnet{CIDR: netip.MustParsePrefix("2001:db8::/64"), Gateway: addr("2001:db8::1"), AddressMode: "slaac", DHCP: true,
		DNS: []netip.Addr{addr("192.0.2.53"), addr("2001:db8::53")}, Addrs: []netip.Addr{addr("2001:db8::5"), addr("2001:db8::6")}}
	i := &Instance{CompleteNetwork: true, Ports: []Port{
		{ID: "p1", NetworkID: "n1", MAC: "m1", LinkID: "t1", LinkType: "ovs", MTU: 9000, Subnets: []Subnet{v4, second, v6},
			Bond: &Bond{Mode: "802.3ad", MACs: []string{"ma", "mb"}, MIIMon: 100, HashPolicy: "layer3+4"}},
		{ID: "p2", NetworkID: "n2", MAC: "m2", LinkID: "t2", LinkType: "ovs", MTU: 1500, VLAN: &VLAN{ID: 101, Parent: "p1"}, Subnets: []Subnet{second}},
		{ID: "p3", NetworkID: "n3", MAC: "m3", LinkID: "t3", LinkType: "tap"},
	}}
	const want = `{"links": [` +
		`{"id": "t1-0", "type": "phy", "mtu": 9000, "ethernet_mac_address": "ma"}, ` +
		`{"id": "t1-1", "type": "phy", "mtu": 9000, "ethernet_mac_address": "mb"}, ` +
		`{"id": "t1", "vif_id": "p1", "type": "bond", "mtu": 9000, "ethernet_mac_address": "m1", "bond_links": ["t1-0", "t1-1"], ` +
		`"bond_mode": "802.3ad", "bond_miimon": 100, "bond_xmit_hash_policy": "layer3+4"}, ` +
		`{"id": "t2", "vif_id": "p2", "type": "vlan", "mtu": 1500, "vlan_link": "t1", "vlan_id": 101, "vlan_mac_address": "m2"}, ` +
		`{"id": "t3", "vif_id": "p3", "type": "tap", "mtu": null, "ethernet_mac_address": "m3"}], "networks": [` +
		`{"id": "network0", "type": "ipv4_dhcp", "link": "t1", "network_id": "n1"}, ` +
		`{"id": "network1", "type": "ipv4", "link": "t1", "ip_address": "10.0.0.6", "netmask": "255.255.255.0", "routes": [], "network_id": "n1", "services": [{"type": "dns", "address": "192.0.2.53"}]}, ` +
		`{"id": "network2", "type": "ipv4", "link": "t1", "ip_address": "10.1.0.5", "netmask": "255.255.0.0", "routes": [], "network_id": "n1", "services": []}, ` +
		`{"id": "network3", "type": "ipv6_slaac", "link": "t1", "ip_address": "2001:db8::5", "netmask": "ffff:ffff:ffff:ffff::", ` +
		`"routes": [{"network": "::", "netmask": "::", "gateway": "2001:db8::1"}], "network_id": "n1", "services": [{"type": "dns", "address": "192.0.2.53"}, {"type": "dns", "address": "2001:db8::53"}]}, ` +
		`{"id": "network4", "type": "ipv6_slaac", "link": "t1", "ip_address": "2001:db8::6", "netmask": "ffff:ffff:ffff:ffff::", ` +
		`"routes": [], "network_id": "n1", "services": [{"type": "dns", "address": "192.0.2.53"}, {"type": "dns", "address": "2001:db8::53"}]}, ` +
		`{"id": "network5", "type": "ipv4", "link": "t2", "ip_address": "10.1.0.5", "netmask": "255.255.0.0", "routes": [], "network_id": "n2", "services": []}], ` +
		`"services": [{"type": "dns", "address": "192.0.2.53"}, {"type": "dns", "address": "2001:db8::53"}]}`
	got := string(i.NetworkData().Encode())
	if diff := cmp.Diff(strings.ReplaceAll(want, "}, ", "},\n"), strings.ReplaceAll(got, "}, ", "},\n")); diff != "" {
		t.Error(diff)
	}
	i.CompleteNetwork = false
	if n := i.NetworkData(); len(n.Links) != 2 || len(n.Networks) != 3 {
		t.Errorf("Nova's form has %d links and %d networks", len(n.Links), len(n.Networks))
	}
}

func TestFutureVersionsAreHidden(t *testing.T) {
	i := &Instance{UUID: "u"}
	d, err := i.Lookup(Request{Path: "/openstack", Now: time.Date(2025, 4, 3, 23, 59, 0, 0, time.UTC)})
	if err != nil || !strings.HasSuffix(string(d.Body), "\n2020-10-14\nlatest") {
		t.Errorf("a day before: %v\n%s", err, d.Body)
	}
	d, err = i.Lookup(Request{Path: "/openstack", Now: time.Date(2025, 4, 4, 0, 0, 0, 0, time.UTC)})
	if err != nil || !strings.HasSuffix(string(d.Body), "\n2020-10-14\n2025-04-04\nlatest") {
		t.Errorf("on the day: %v\n%s", err, d.Body)
	}
	if _, err := i.Lookup(Request{Path: "/openstack/2025-04-04/meta_data.json", Now: time.Unix(0, 0)}); err != nil {
		t.Errorf("a hidden version that is asked for: %v", err)
	}
}

func TestSeedsPlace(t *testing.T) {
	i := &Instance{UUID: "u", Name: `"random_seed": "`, ProjectID: `"random_seed": "`, Meta: map[string]string{"random_seed": `x"random_seed": "`}}
	d, err := i.Lookup(Request{Path: "/openstack/latest/meta_data.json"})
	if err != nil {
		t.Fatal(err)
	}
	if err := NewSeed(d.Body[d.Seed:d.Seed+SeedLen], strings.NewReader(strings.Repeat("\xff", seedBytes))); err != nil {
		t.Fatal(err)
	}
	m, err := ParseMetaData(d.Body)
	if err != nil || m.RandomSeed != strings.Repeat("/", SeedLen-2)+"8=" || m.Meta["random_seed"] != i.Meta["random_seed"] || m.ProjectID != i.ProjectID {
		t.Errorf("%v: %+v", err, m)
	}
	if d, _ := i.Lookup(Request{Path: "/openstack/2012-08-10/meta_data.json"}); d.Seed != 0 {
		t.Errorf("Folsom has a seed at %d", d.Seed)
	}
}

func TestVendorAnswers(t *testing.T) {
	value := func(s string) VendorValue {
		v, err := ParseVendorValue([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	answers := []VendorAnswer{{"a", value(`[1.0, "ž"]`)}, {"static", value(`1`)}, {"a", value(`2`)}, {"b", VendorValue{}}, {"c", value("null")}}
	v, err := ParseVendorData([]byte(`{"x":1}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{"static": {"x": 1}, "a": [1.0, "\u017e"], "b": {}, "c": null}`, string(v.Encode2(answers...))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(`{"a": [1.0, "\u017e"], "static": 1, "b": {}, "c": null}`, string(NoVendorData().Encode2(answers...))); diff != "" {
		t.Error(diff)
	}
	if got := string(NoVendorData().Encode2()); got != "{}" {
		t.Errorf("nothing at all: %s", got)
	}
	i := &Instance{VendorData: NoVendorData()}
	if _, err := i.Lookup(Request{Path: "/openstack/latest/vendor_data.json"}); err != ErrNoDocument {
		t.Errorf("vendor_data.json without static data: %v", err)
	}
}
