package netrender

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imprint/guest/netstate"
)

func compare(t *testing.T, name string, s *netstate.State) {
	t.Helper()
	files := ENI(s)
	for i, suffix := range []string{".interfaces", ".rules"} {
		want, err := os.ReadFile(filepath.Join("testdata", name+suffix))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), string(files[i].Data)); d != "" {
			t.Errorf("%s\n%s", files[i].Name, d)
		}
		if files[i].Mode != 0o644 {
			t.Errorf("%s has mode %o", files[i].Name, files[i].Mode)
		}
	}
}

// nicsFor names the physical links of a document eth0, eth1 …, as was done when
// the golden files were made.
func nicsFor(t *testing.T, data []byte) (nics []netstate.NIC) {
	var doc struct {
		Links []struct {
			Type string
			MAC  string `json:"ethernet_mac_address"`
		}
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	for _, l := range doc.Links {
		if l.Type != "bond" && l.Type != "vlan" {
			nics = append(nics, netstate.NIC{Name: fmt.Sprintf("eth%d", len(nics)), MAC: l.MAC})
		}
	}
	return nics
}

func TestENIOfNetworkData(t *testing.T) {
	inputs, _ := filepath.Glob("testdata/*.json")
	if len(inputs) != 11 {
		t.Fatalf("%d inputs", len(inputs))
	}
	for _, in := range inputs {
		name := strings.TrimSuffix(filepath.Base(in), ".json")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(in)
			if err != nil {
				t.Fatal(err)
			}
			s, problems, err := netstate.FromNetworkData(data, nicsFor(t, data))
			if err != nil {
				t.Fatal(err)
			}
			if name == "os-unknown-link" != (len(problems) > 0) {
				t.Errorf("problems: %q", problems)
			}
			compare(t, name, s)
		})
	}
}

func TestENIOfInterfaces(t *testing.T) {
	data, err := os.ReadFile("testdata/drive-eni.txt")
	if err != nil {
		t.Fatal(err)
	}
	s, problems, err := netstate.FromInterfaces(data, []netstate.NIC{{Name: "eth0", MAC: "fa:16:3e:00:00:01"},
		{Name: "eth1", MAC: "fa:16:3e:00:00:02"}, {Name: "eth2"}, {Name: "eth3"}})
	if err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	compare(t, "drive-eni", s)
}

func TestENIOfFallback(t *testing.T) {
	compare(t, "fallback", netstate.Fallback([]netstate.NIC{{Name: "lo"}, {Name: "eth0", MAC: "fa:16:3e:00:00:01", Kind: "veth", Carrier: true}}))
	compare(t, "v2-min", &netstate.State{Links: []netstate.Link{{
		Name: "eth0", Type: netstate.Physical, Subnets: []netstate.Subnet{{Method: netstate.DHCP4}},
	}}})
}

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func route(to, via string, metric int) netstate.Route {
	return netstate.Route{To: netip.MustParsePrefix(to), Via: netip.MustParseAddr(via), Metric: metric}
}

func static(address, gateway string) netstate.Subnet {
	s := netstate.Subnet{Method: netstate.Static, Address: netip.MustParsePrefix(address)}
	if gateway != "" {
		s.Gateway = netip.MustParseAddr(gateway)
	}
	return s
}

func TestENIOfVersion1(t *testing.T) {
	yes := true
	four, six := static("192.0.2.10/24", "192.0.2.1"), static("2001:db8::10/64", "2001:db8::1")
	four.DNS, four.Search = addrs("192.0.2.53", "198.51.100.53"), []string{"oracle.test", "a.oracle.test"}
	four.Routes = []netstate.Route{route("198.51.100.0/24", "192.0.2.254", 100), route("203.0.113.0/24", "192.0.2.253", 0)}
	six.Routes = []netstate.Route{route("2001:db8:1::/48", "2001:db8::2", 0)}
	compare(t, "v1-basic", &netstate.State{
		DNS: addrs("192.0.2.99", "2001:db8::53"), Search: []string{"global.test"},
		Routes: []netstate.Route{route("10.9.0.0/16", "192.0.2.200", 3)},
		Links: []netstate.Link{
			{Name: "eth0", Type: netstate.Physical, MAC: "52:54:00:00:00:01", MTU: 1450,
				Subnets: []netstate.Subnet{{Method: netstate.DHCP4}, {Method: netstate.DHCP6}}},
			{Name: "eth1", Type: netstate.Physical, MAC: "52:54:00:00:00:02", AcceptRA: &yes,
				Subnets: []netstate.Subnet{four, six}},
		},
	})
}

func TestENIOfSubnets(t *testing.T) {
	control := static("10.0.1.5/24", "")
	control.ByHand = true
	multi := []netstate.Subnet{static("10.0.2.5/24", ""), static("10.0.3.5/24", ""), static("2001:db8:2::5/64", "")}
	multi[0].MTU, multi[2].MTU = 1400, 1300
	one := func(name string, s ...netstate.Subnet) netstate.Link {
		return netstate.Link{Name: name, Type: netstate.Physical, Subnets: s}
	}
	links := []netstate.Link{
		{Name: "lo", Type: netstate.Loopback},
		one("e-manual", netstate.Subnet{Method: netstate.Manual}),
		one("e-control", control),
		one("e-none"),
		one("e-slaac", netstate.Subnet{Method: netstate.SLAAC}),
		one("e-stateful", netstate.Subnet{Method: netstate.DHCP6Stateful}),
		one("e-stateless", netstate.Subnet{Method: netstate.DHCP6Info}),
		one("e-multi", multi...),
		one("e-wol", netstate.Subnet{Method: netstate.DHCP4, Metric: 50}),
	}
	links[7].MTU, links[8].WakeOnLAN = 9000, true
	compare(t, "v1-subnets", &netstate.State{Links: links})
}
