package plan

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"imprint/host/cloud"
)

// TestPartsOfANode: n1 of the world runs a server, a router and DHCP; a second
// network has no server of the node.
func TestPartsOfANode(t *testing.T) {
	m := world()
	for _, r := range []cloud.Record{
		&cloud.Network{NetworkID: "far", ProjectID: "p", MTU: 1450},
		&cloud.Port{PortID: "far-dhcp", NetworkID: "far", DeviceOwner: cloud.OwnerDHCP, Host: "n1"},
	} {
		m.Apply(cloud.Change{Record: r})
	}
	whole := For(m, "n1")
	served := "far (DHCP far-dhcp, 0 hosts), n (DHCP dhcp, 3 hosts)"
	bare := "far (DHCP , 0 hosts), n (DHCP , 0 hosts)"
	cases := map[[3]bool]string{ // network, compute, metadata
		{}:                   "networks ; routers []; ports []; instances []",
		{true, false, false}: "networks " + served + "; routers [r]; ports [a b dhcp far-dhcp leg]; instances []",
		{false, true, false}: "networks n (DHCP , 0 hosts); routers []; ports [a]; instances [c1]",
		{false, false, true}: "networks " + bare + "; routers [r]; ports [a b dhcp far-dhcp leg]; instances []",
		{false, true, true}:  "networks " + bare + "; routers [r]; ports [a b dhcp far-dhcp leg]; instances [c1]",
		{true, false, true}:  "networks " + served + "; routers [r]; ports [a b dhcp far-dhcp leg]; instances []",
		{true, true, false}:  "networks " + served + "; routers [r]; ports [a b dhcp far-dhcp leg]; instances [c1]",
		{true, true, true}:   "networks " + served + "; routers [r]; ports [a b dhcp far-dhcp leg]; instances [c1]",
	}
	for parts, want := range cases {
		if got := outline(Only(whole, parts[0], parts[1], parts[2])); got != want {
			t.Errorf("network %t, compute %t, metadata %t:\n%s, want\n%s", parts[0], parts[1], parts[2], got, want)
		}
	}
	if diff := cmp.Diff(whole, Only(whole, true, true, true), equal); diff != "" {
		t.Error(diff)
	}
}

// outline says what a slice has.
func outline(s cloud.Slice) string {
	networks := ""
	for i, id := range slices.Sorted(maps.Keys(s.Networks)) {
		if i > 0 {
			networks += ", "
		}
		networks += fmt.Sprintf("%s (DHCP %s, %d hosts)", id, s.Networks[id].DHCPPort, len(s.Networks[id].Hosts))
	}
	return fmt.Sprint("networks ", networks, "; routers ", slices.Sorted(maps.Keys(s.Routers)),
		"; ports ", slices.Sorted(maps.Keys(s.Ports)), "; instances ", slices.Sorted(maps.Keys(s.Instances)))
}

// drawSlice draws a slice whose records may name such as are not there.
func drawSlice(t *rapid.T) cloud.Slice {
	ids := func(kind, label string) []string {
		return rapid.SliceOfNDistinct(rapid.Map(rapid.IntRange(0, 5), func(n int) string { return fmt.Sprint(kind, n) }), 0, 6, rapid.ID).Draw(t, label)
	}
	ports := func(label string) (of []cloud.PortID) {
		for _, id := range ids("p", label) {
			of = append(of, cloud.PortID(id))
		}
		return of
	}
	s := cloud.NewSlice()
	for _, id := range ids("n", "networks") {
		n := cloud.DesiredNetwork{ID: cloud.NetworkID(id), MTU: rapid.IntRange(1, 9).Draw(t, "mtu")}
		if served := ports("hosts"); len(served) > 0 {
			n.DHCPPort = served[0]
			for _, p := range served[1:] {
				n.Hosts = append(n.Hosts, cloud.Host{PortID: p})
			}
		}
		s.Networks[n.ID] = n
	}
	for _, id := range ids("p", "ports") {
		on := cloud.NetworkID(fmt.Sprint("n", rapid.IntRange(0, 5).Draw(t, "on")))
		s.Ports[cloud.PortID(id)] = cloud.DesiredPort{ID: cloud.PortID(id), NetworkID: on, Local: rapid.Bool().Draw(t, "local")}
	}
	for _, id := range ids("r", "routers") {
		s.Routers[cloud.RouterID(id)] = cloud.DesiredRouter{ID: cloud.RouterID(id), Ports: ports("legs")}
	}
	for _, id := range ids("i", "instances") {
		s.Instances[cloud.ServerID(id)] = cloud.DesiredInstance{ID: cloud.ServerID(id), Ports: ports("nics")}
	}
	return s
}

// union joins two slices of one node; of a network both may have, it takes
// what either says of DHCP.
func union(a, b cloud.Slice) cloud.Slice {
	u := a.Clone()
	maps.Copy(u.Routers, b.Routers)
	maps.Copy(u.Ports, b.Ports)
	maps.Copy(u.Instances, b.Instances)
	for id, n := range b.Networks {
		if n.DHCPPort == "" {
			n.DHCPPort, n.Hosts = u.Networks[id].DHCPPort, u.Networks[id].Hosts
		}
		u.Networks[id] = n
	}
	return u
}

func TestOnlyIsAUnionOfParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSlice(t)
		before := union(s, cloud.NewSlice())
		draw := func(label string) [3]bool {
			return [3]bool{rapid.Bool().Draw(t, label), rapid.Bool().Draw(t, label), rapid.Bool().Draw(t, label)}
		}
		a, b := draw("a"), draw("b")
		only := func(p [3]bool) cloud.Slice { return Only(s, p[0], p[1], p[2]) }
		both := only([3]bool{a[0] || b[0], a[1] || b[1], a[2] || b[2]})
		if diff := cmp.Diff(union(only(a), only(b)), both, equal); diff != "" {
			t.Errorf("%v and %v: %s", a, b, diff)
		}
		if diff := cmp.Diff(s, union(only(a), s), equal); diff != "" {
			t.Errorf("%v adds to the slice: %s", a, diff)
		}
		if diff := cmp.Diff(s, only([3]bool{true, true, true}), equal); diff != "" {
			t.Errorf("all parts get another slice: %s", diff)
		}
		if diff := cmp.Diff(cloud.NewSlice(), only([3]bool{}), equal); diff != "" {
			t.Errorf("no part gets %s", diff)
		}
		empty(only(a))
		if diff := cmp.Diff(before, s, equal); diff != "" {
			t.Errorf("the slice was changed: %s", diff)
		}
	})
}

// empty takes all out of a slice's maps.
func empty(s cloud.Slice) {
	clear(s.Networks)
	clear(s.Routers)
	clear(s.Ports)
	clear(s.Instances)
}
