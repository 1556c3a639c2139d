package netstate

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFromConfig(t *testing.T) {
	address := netip.MustParseAddr
	eth0 := func(edit func(*Link)) State {
		l := Link{Name: "eth0", Type: Physical, MAC: "52:54:00:00:00:01"}
		edit(&l)
		return State{Links: []Link{l}}
	}
	static := Subnet{Method: Static, Address: netip.MustParsePrefix("10.0.0.5/24"), Gateway: address("10.0.0.1"),
		DNS: []netip.Addr{address("10.0.0.2")}, Search: []string{"a.test"}, Routes: []Route{{netip.MustParsePrefix("10.1.0.0/16"), address("10.0.0.9"), 5}}}
	for _, c := range []struct {
		name, doc string
		want      State
		problems  int
	}{
		{"DHCP", `{"version": 1, "config": [{"type": "physical", "name": "eth0", "mac_address": "52:54:00:00:00:01", "subnets": [{"type": "dhcp"}]}]}`,
			eth0(func(l *Link) { l.Subnets = []Subnet{{Method: DHCP4}} }), 0},
		{"DHCP, 2", `{"network": {"version": 2, "ethernets": {"id0": {"match": {"macaddress": "52:54:00:00:00:01"}, "set-name": "eth0", "dhcp4": true,
			"dhcp4-overrides": {"route-metric": 100}}}}}`, eth0(func(l *Link) { l.Subnets = []Subnet{{Method: DHCP4, Metric: 100}} }), 0},
		{"static", `{"version": 1, "config": [{"type": "physical", "name": "eth0", "mac_address": "52:54:00:00:00:01", "mtu": 1400, "subnets": [{"type": "static",
			"address": "10.0.0.5", "netmask": "255.255.255.0", "gateway": "10.0.0.1", "dns_nameservers": "10.0.0.2", "dns_search": ["a.test"],
			"routes": [{"network": "10.1.0.0", "netmask": "255.255.0.0", "gateway": "10.0.0.9", "metric": 5}]}]}]}`,
			eth0(func(l *Link) { l.MTU, l.Subnets = 1400, []Subnet{static} }), 0},
		{"static, 2", `{"version": 2, "ethernets": {"eth0": {"match": {"macaddress": "52:54:00:00:00:01"}, "addresses": ["10.0.0.5/24"], "gateway4": "10.0.0.1",
			"nameservers": {"addresses": ["10.0.0.2"], "search": ["a.test"]}, "routes": [{"to": "10.1.0.0/16", "via": "10.0.0.9", "metric": 5}]}}}`,
			eth0(func(l *Link) { l.Subnets = []Subnet{static} }), 0},
		{"of no link", `{"version": 1, "config": [{"type": "nameserver", "address": ["10.0.0.2"], "search": "a.test"},
			{"type": "route", "destination": "default", "gateway": "10.0.0.1"}]}`,
			State{DNS: []netip.Addr{address("10.0.0.2")}, Search: []string{"a.test"}, Routes: []Route{{netip.MustParsePrefix("0.0.0.0/0"), address("10.0.0.1"), 0}}}, 0},
		{"bond and vlan", `{"version": 2, "bonds": {"bond0": {"interfaces": ["eth0", "eth1"], "parameters": {"mode": "802.3ad"}}},
			"vlans": {"v7": {"id": 7, "link": "bond0", "dhcp6": true}}}`,
			State{Links: []Link{{Name: "bond0", Type: BondLink, Bond: &Bond{Members: []string{"eth0", "eth1"}, Params: map[string]string{"mode": "802.3ad"}}},
				{Name: "v7", Type: VLANLink, VLAN: &VLAN{ID: 7, Link: "bond0"}, Subnets: []Subnet{{Method: DHCP6}}}}}, 0},
		{"nonsense", `{"version": 1, "config": [7, {"type": "bridge", "name": "br0"}, {"type": "physical", "name": "a b"},
			{"type": "physical", "name": "eth0", "mac_address": "52:54:00:00:00:01", "subnets": [{"type": "static", "address": "x"}, {"type": "odd"}]}]}`,
			eth0(func(*Link) {}), 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, problems, err := FromConfig([]byte(c.doc), nil)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, *s, byValue); d != "" || len(problems) != c.problems {
				t.Errorf("%s%q", d, problems)
			}
		})
	}
	for _, doc := range []string{"", "[]", `{"version": 3}`, `{"version": 1, "config": {}}`, `{"network": {"network": {}}}`} {
		if s, _, err := FromConfig([]byte(doc), nil); err == nil || !strings.Contains(err.Error(), "read network config") {
			t.Errorf("%s: %+v, %v", doc, s, err)
		}
	}
}

func FuzzFromConfig(f *testing.F) {
	f.Add([]byte(`{"version": 2, "ethernets": {"eth0": {"addresses": ["10.0.0.5/24"], "routes": [{"to": "default", "via": "10.0.0.1"}]}}, "bridges": {"a": 1}}`))
	f.Add([]byte(`{"network": {"version": 1, "config": [{"type": "bond", "name": "b", "params": {"a": [1]}}, {"type": "vlan", "vlan_id": "9"}, {"type": "route"}]}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		s, _, err := FromConfig(doc, nil)
		if err != nil {
			return
		}
		for _, l := range s.Links {
			if !ifnameRE.MatchString(l.Name) {
				t.Fatalf("%+v", l)
			}
		}
		if _, err := json.Marshal(s); err != nil {
			t.Fatal(err)
		}
	})
}
