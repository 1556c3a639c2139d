package feed

import (
	"net/netip"

	"github.com/google/go-cmp/cmp"

	"imprint/host/cloud"
)

var cmpComparable = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

// fullSlice has one of everything.
func fullSlice() cloud.Slice {
	s := cloud.NewSlice()
	s.Networks["n1"] = cloud.DesiredNetwork{
		ID: "n1", ProjectID: "pr", MTU: 1450, DHCPPort: "p2",
		Subnets: []cloud.DesiredSubnet{{
			ID: "sub", CIDR: netip.MustParsePrefix("17.17.17.0/24"),
			Gateway: netip.MustParseAddr("17.17.17.1"), DHCP: true,
			DNS: []netip.Addr{netip.MustParseAddr("fe80::1")},
		}},
		Hosts: []cloud.Host{{PortID: "p1", MAC: "fa:16:3e:00:00:01", Addrs: []netip.Addr{netip.MustParseAddr("17.17.17.5")}}},
	}
	s.Routers["r1"] = cloud.DesiredRouter{ID: "r1", ProjectID: "pr", Ports: []cloud.PortID{"p3"}}
	s.Ports["p1"] = cloud.DesiredPort{
		ID: "p1", NetworkID: "n1", MAC: "fa:16:3e:00:00:01", Owner: "compute:nova", DeviceID: "s1", Local: true,
		Addrs: []cloud.PortAddr{{SubnetID: "sub", Prefix: netip.MustParsePrefix("17.17.17.5/24")}},
	}
	s.Instances["s1"] = cloud.DesiredInstance{ID: "s1", Tree: "host", RAM: 64, CPUs: 1, Ports: []cloud.PortID{"p1"}, Power: cloud.PowerOn}
	return s
}
