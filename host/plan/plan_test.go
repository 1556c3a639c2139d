package plan

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"imprint/host/cloud"
)

// world is a network node n1 that is a compute node too, a compute node n2, one
// routed network with a server on each node.
func world() *cloud.Model {
	m := cloud.NewModel()
	addr := netip.MustParseAddr
	fixed := func(a string) []cloud.FixedIP { return []cloud.FixedIP{{SubnetID: "s", Addr: addr(a)}} }
	for _, r := range []cloud.Record{
		&cloud.Node{Name: "n1", Network: true, Compute: true},
		&cloud.Node{Name: "n2", Compute: true},
		&cloud.Network{NetworkID: "n", ProjectID: "p", MTU: 1450},
		&cloud.Subnet{SubnetID: "s", NetworkID: "n", CIDR: netip.MustParsePrefix("17.17.17.0/24"), Gateway: addr("17.17.17.1"), DHCP: true},
		&cloud.Port{PortID: "dhcp", NetworkID: "n", DeviceOwner: cloud.OwnerDHCP, Host: "n1", MAC: "fa:16:3e:00:00:02", FixedIPs: fixed("17.17.17.2")},
		&cloud.Port{PortID: "leg", NetworkID: "n", DeviceOwner: cloud.OwnerRouterInterface, DeviceID: "r", Host: "n1", MAC: "fa:16:3e:00:00:01", FixedIPs: fixed("17.17.17.1")},
		&cloud.Port{PortID: "a", NetworkID: "n", DeviceOwner: "compute:nova", DeviceID: "c1", Host: "n1", MAC: "fa:16:3e:00:00:0a", FixedIPs: fixed("17.17.17.10")},
		&cloud.Port{PortID: "b", NetworkID: "n", DeviceOwner: "compute:nova", DeviceID: "c2", Host: "n2", MAC: "fa:16:3e:00:00:0b", FixedIPs: fixed("17.17.17.11")},
		&cloud.Router{RouterID: "r", ProjectID: "p"},
		&cloud.Router{RouterID: "unattached", ProjectID: "p"},
		&cloud.Server{ServerID: "c1", Name: "c1", Tree: "host", Host: "n1", Power: cloud.PowerOn, Ports: []cloud.PortID{"a"}, Flavor: cloud.Flavor{RAM: 256, VCPUs: 1}},
		&cloud.Server{ServerID: "c2", Name: "c2", Tree: "host", Host: "n2", Power: cloud.PowerOff, Ports: []cloud.PortID{"b"}, ConfigDrive: true, DriveGeneration: 2, RebuildGeneration: 3},
	} {
		m.Apply(cloud.Change{Record: r})
	}
	return m
}

var equal = cmp.Options{
	cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}),
	cmpopts.SortSlices(func(a, b cloud.Host) bool { return a.PortID < b.PortID }),
}

func TestNetworkNodeServesAllPorts(t *testing.T) {
	s := For(world(), "n1")
	if len(s.Ports) != 4 || !s.Ports["a"].Local || s.Ports["b"].Local {
		t.Errorf("ports %+v: want four, a local and b not", s.Ports)
	}
	want := cloud.DesiredRouter{ID: "r", ProjectID: "p", Ports: []cloud.PortID{"leg"}}
	if diff := cmp.Diff(map[cloud.RouterID]cloud.DesiredRouter{"r": want}, s.Routers, equal); diff != "" {
		t.Error(diff)
	}
	n := s.Networks["n"]
	if n.DHCPPort != "dhcp" || len(n.Hosts) != 3 || n.Subnets[0].Router != netip.MustParseAddr("17.17.17.1") {
		t.Errorf("network %+v: want its DHCP port, three hosts and the router's address", n)
	}
	if got := s.Ports["a"].Addrs[0].Prefix.String(); got != "17.17.17.10/24" {
		t.Errorf("address of a: %s", got)
	}
	if _, other := s.Instances["c2"]; other || len(s.Instances) != 1 {
		t.Errorf("instances %+v: want c1 alone", s.Instances)
	}
}

func TestComputeNodeSeesOnlyItsOwn(t *testing.T) {
	want := cloud.Slice{
		Networks: map[cloud.NetworkID]cloud.DesiredNetwork{"n": {
			ID: "n", ProjectID: "p", MTU: 1450,
			Subnets: []cloud.DesiredSubnet{{
				ID: "s", CIDR: netip.MustParsePrefix("17.17.17.0/24"), Gateway: netip.MustParseAddr("17.17.17.1"),
				DHCP: true, Router: netip.MustParseAddr("17.17.17.1"),
			}},
		}},
		Ports: map[cloud.PortID]cloud.DesiredPort{"b": {
			ID: "b", NetworkID: "n", MAC: "fa:16:3e:00:00:0b", Owner: "compute:nova", DeviceID: "c2", Local: true,
			Addrs: []cloud.PortAddr{{SubnetID: "s", Prefix: netip.MustParsePrefix("17.17.17.11/24")}},
		}},
		Instances: map[cloud.ServerID]cloud.DesiredInstance{"c2": {
			ID: "c2", Name: "c2", Tree: "host", ConfigDrive: true, DriveGeneration: 2, RebuildGeneration: 3, Power: cloud.PowerOff, Ports: []cloud.PortID{"b"},
		}},
	}
	if diff := cmp.Diff(want, For(world(), "n2"), equal); diff != "" {
		t.Error(diff)
	}
}

func TestUnknownNodeHasNothing(t *testing.T) {
	if diff := cmp.Diff(cloud.NewSlice(), For(world(), "n3"), equal); diff != "" {
		t.Error(diff)
	}
}

func TestSubnetWithoutRouterIsIsolated(t *testing.T) {
	m := world()
	m.Apply(cloud.Change{Record: m.Ports["leg"], Deleted: true})
	s := For(m, "n1")
	if s.Networks["n"].Subnets[0].Router.IsValid() || len(s.Routers) != 0 {
		t.Errorf("a detached router is still planned: %+v %+v", s.Networks["n"], s.Routers)
	}
}

// A gateway brings its external network; floating addresses come with it.
func TestGatewayIsPlanned(t *testing.T) {
	m := world()
	addr := netip.MustParseAddr
	for _, r := range []cloud.Record{
		&cloud.Network{NetworkID: "e", MTU: 1500, External: true},
		&cloud.Subnet{SubnetID: "es", NetworkID: "e", CIDR: netip.MustParsePrefix("203.0.113.0/24"), Gateway: addr("203.0.113.1")},
		&cloud.Port{PortID: "gw", NetworkID: "e", DeviceOwner: cloud.OwnerRouterGateway, DeviceID: "r", Host: "n1", MAC: "fa:16:3e:00:00:03",
			FixedIPs: []cloud.FixedIP{{SubnetID: "es", Addr: addr("203.0.113.10")}}},
		&cloud.Router{RouterID: "r", ProjectID: "p", GatewayPort: "gw"},
		&cloud.FloatingIP{FloatingID: "f", NetworkID: "e", Addr: addr("203.0.113.20"), PortID: "a", FixedAddr: addr("17.17.17.10"), RouterID: "r"},
		&cloud.FloatingIP{FloatingID: "g", NetworkID: "e", Addr: addr("203.0.113.21")},
	} {
		m.Apply(cloud.Change{Record: r})
	}
	s := For(m, "n1")
	want := cloud.DesiredRouter{ID: "r", ProjectID: "p", Ports: []cloud.PortID{"leg"}, Gateway: "gw", SNAT: true,
		Floating: []cloud.DesiredFloating{{Addr: addr("203.0.113.20"), Fixed: addr("17.17.17.10")}}}
	if diff := cmp.Diff(want, s.Routers["r"], equal); diff != "" {
		t.Error(diff)
	}
	if s.Networks["e"].MTU != 1500 || !s.Ports["gw"].Local {
		t.Errorf("the external network is not there: %+v, %+v", s.Networks["e"], s.Ports["gw"])
	}
	if f := m.FloatingIPsOf("a"); len(f) != 1 || f[0].FloatingID != "f" || len(m.FloatingIPsOf("b")) != 0 {
		t.Errorf("of the port: %v", f)
	}
	m.Apply(cloud.Change{Record: m.FloatingIPs["f"], Deleted: true})
	if s := For(m, "n1"); len(s.Routers["r"].Floating) != 0 || len(m.FloatingIPsOf("a")) != 0 {
		t.Errorf("after it went: %+v", s.Routers["r"])
	}
}
