package netstate

import (
	"encoding/json"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var byValue = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

var testNICs = []NIC{
	{Name: "br0", MAC: "fa:16:3e:00:00:01", Kind: "bridge"},
	{Name: "ens3", MAC: "fa:16:3e:00:00:01", Carrier: true},
	{Name: "ens4", MAC: "fa:16:3e:00:00:02"},
}

func TestFromNetworkData(t *testing.T) {
	s, problems, err := FromNetworkData([]byte(`{
		"links": [
			{"id": "a", "type": "bridge", "ethernet_mac_address": "FA:16:3E:00:00:01", "mtu": "1450"},
			{"id": "b", "type": "new-kind", "ethernet_mac_address": "fa:16:3e:00:00:02", "mtu": null}],
		"networks": [
			{"id": 1, "link": "a", "type": "ipv4", "ip_address": "10.0.0.5", "netmask": "255.255.255.0",
			 "gateway": "10.0.0.1", "dns_nameservers": "192.0.2.1", "dns_search": ["a.test"],
			 "routes": [{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "10.0.0.1"}]},
			{"id": 2, "link": "a", "type": "ipv6", "ip_address": "2001:db8::5/56"},
			{"id": 3, "link": "b", "type": "static", "ip_address": "10.1.0.5"},
			{"id": 4, "link": "b", "type": "ipv6_slaac", "ip_address": "2001:db8::6", "netmask": "ffff:ffff:ffff:ffff::"}],
		"services": [{"type": "dns", "address": "192.0.2.53"}]}`), testNICs)
	if err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	want := &State{
		DNS: []netip.Addr{netip.MustParseAddr("192.0.2.53")},
		Links: []Link{
			{Name: "ens3", Type: Physical, MAC: "fa:16:3e:00:00:01", MTU: 1450, AcceptRA: new(bool), Subnets: []Subnet{
				{Method: Static, Address: netip.MustParsePrefix("10.0.0.5/24"), Gateway: netip.MustParseAddr("10.0.0.1"),
					DNS: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Search: []string{"a.test"},
					Routes: []Route{{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("10.0.0.1")}}},
				{Method: Static, Address: netip.MustParsePrefix("2001:db8::5/56")},
			}},
			{Name: "ens4", Type: Physical, MAC: "fa:16:3e:00:00:02", Subnets: []Subnet{
				{Method: Static, Address: netip.MustParsePrefix("10.1.0.5/24")}, {Method: SLAAC},
			}},
		},
	}
	if d := cmp.Diff(want, s, byValue); d != "" {
		t.Error(d)
	}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var again State
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(s, &again, byValue); d != "" {
		t.Errorf("changed by JSON: %s", d)
	}
}

func TestFromNetworkDataLeavesOutWhatMakesNoSense(t *testing.T) {
	link := `{"links": [{"id": "a", "type": "ovs", "ethernet_mac_address": "fa:16:3e:00:00:01"}], `
	for name, doc := range map[string]string{
		"type":          link + `"networks": [{"link": "a", "type": "telepathy"}]}`,
		"no address":    link + `"networks": [{"link": "a", "type": "ipv4"}]}`,
		"mask":          link + `"networks": [{"link": "a", "type": "ipv4", "ip_address": "10.0.0.1", "netmask": "255.0.255.0"}]}`,
		"mask of other": link + `"networks": [{"link": "a", "type": "ipv4", "ip_address": "10.0.0.1", "netmask": "ffff::"}]}`,
		"length":        link + `"networks": [{"link": "a", "type": "ipv4", "ip_address": "10.0.0.1/33"}]}`,
		"link":          link + `"networks": [{"link": "b", "type": "ipv4_dhcp"}]}`,
		"service":       link + `"services": [{"type": "dns", "address": "1.1.1.1\nnameserver 6.6.6.6"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			s, problems, err := FromNetworkData([]byte(doc), testNICs)
			if err != nil || len(problems) != 1 {
				t.Fatalf("problems %q, error %v", problems, err)
			}
			if len(s.Links) != 1 || len(s.Links[0].Subnets) != 0 || len(s.DNS) != 0 {
				t.Errorf("got %+v", s)
			}
		})
	}
	route := link + `"networks": [{"link": "a", "type": "ipv4", "ip_address": "10.0.0.1",
		"routes": [{"network": "::", "netmask": "::", "gateway": "10.0.0.1"}]}]}`
	if s, problems, _ := FromNetworkData([]byte(route), testNICs); len(problems) != 1 || len(s.Links[0].Subnets[0].Routes) != 0 {
		t.Errorf("a route between families: %q, %+v", problems, s)
	}
}

func TestFromNetworkDataErrors(t *testing.T) {
	for name, doc := range map[string]string{
		"empty": "", "list": "[]", "number": `{"links": 5}`, "cut": `{"links": [`,
		"name":   `{"links": [{"id": "a", "type": "ovs", "name": "eth0\nauto evil"}]}`,
		"mtu":    `{"links": [{"id": "a", "type": "ovs", "name": "eth0", "mtu": {}}]}`,
		"no mac": `{"links": [{"id": "a", "type": "ovs"}]}`,
	} {
		if s, _, err := FromNetworkData([]byte(doc), testNICs); err == nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
	_, _, err := FromNetworkData([]byte(`{"links": [{"id": "a", "type": "ovs", "ethernet_mac_address": "02:00:00:00:00:99"}]}`), testNICs)
	if !errors.Is(err, ErrNoNIC) {
		t.Errorf("got %v", err)
	}
}

func TestFallbackNIC(t *testing.T) {
	mac := "02:00:00:00:00:01"
	nic := func(name string, carrier bool) NIC { return NIC{Name: name, MAC: mac, Carrier: carrier} }
	kind := func(n NIC, kind string) NIC { n.Kind = kind; return n }
	for _, c := range []struct {
		name string
		nics []NIC
		want string
	}{
		{"none", nil, ""},
		{"lo alone", []NIC{nic("lo", true)}, ""},
		{"no address", []NIC{{Name: "tun0", Carrier: true}}, ""},
		{"a host's end of a veth", []NIC{kind(nic("veth1a2b", true), "veth")}, ""},
		{"a container's end of a veth", []NIC{nic("lo", true), kind(nic("eth0", true), "veth")}, "eth0"},
		{"bridge and bond", []NIC{kind(nic("br0", true), "bridge"), kind(nic("bond0", true), "bond"), nic("eno1", false)}, "eno1"},
		{"connected before eth0", []NIC{nic("eth0", false), nic("eth1", true)}, "eth1"},
		{"eth0 before others", []NIC{nic("ens3", true), nic("eth0", true)}, "eth0"},
		{"natural order", []NIC{nic("eth10", true), nic("eth2", true)}, "eth2"},
		{"letters before a number's end", []NIC{nic("ens3f1", true), nic("ens3", true)}, "ens3"},
		{"dead", []NIC{{Name: "eth0", MAC: mac, Dead: true}, nic("eth1", false)}, "eth1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := FallbackNIC(c.nics)
			if got.Name != c.want || ok != (c.want != "") {
				t.Errorf("got %q", got.Name)
			}
			if s := Fallback(c.nics); (s != nil) != ok {
				t.Errorf("state %+v", s)
			}
		})
	}
}

func FuzzFromNetworkData(f *testing.F) {
	f.Add([]byte(`{"links": [{"id": "a", "type": "ovs", "ethernet_mac_address": "fa:16:3e:00:00:01"},
		{"id": "b", "type": "bond", "bond_links": ["a"], "bond_mode": "802.3ad"},
		{"id": "v", "type": "vlan", "vlan_link": "b", "vlan_id": 5, "vlan_mac_address": "fa:16:3e:00:00:02"}],
		"networks": [{"link": "v", "type": "ipv4", "ip_address": "10.0.0.5/8"}], "services": [{"address": ["::1"]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, _, err := FromNetworkData(b, testNICs)
		if err != nil {
			return
		}
		if _, err := json.Marshal(s); err != nil {
			t.Fatal(err)
		}
	})
}
