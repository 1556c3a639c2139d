package metadataagent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"imprint/host/cloud"
)

const (
	netA  = cloud.NetworkID("aaaaaaaa-0000-4000-8000-000000000001")
	netB  = cloud.NetworkID("bbbbbbbb-0000-4000-8000-000000000002")
	netC  = cloud.NetworkID("cccccccc-0000-4000-8000-000000000003")
	rtr   = cloud.RouterID("dddddddd-0000-4000-8000-000000000004")
	other = cloud.RouterID("eeeeeeee-0000-4000-8000-000000000005")
)

// slice builds a slice out of port descriptions.
type slice struct{ cloud.Slice }

func newSlice(networks ...cloud.NetworkID) slice {
	s := slice{cloud.NewSlice()}
	for _, n := range networks {
		s.Networks[n] = cloud.DesiredNetwork{ID: n}
	}
	return s
}

// port adds a port; each address is "subnet=address".
func (s slice) port(id string, n cloud.NetworkID, owner, device, mac string, addrs ...string) slice {
	p := cloud.DesiredPort{
		ID: cloud.PortID(id), NetworkID: n, ProjectID: "project-" + cloud.ProjectID(device),
		MAC: cloud.MAC(mac), Owner: owner, DeviceID: device,
	}
	for _, a := range addrs {
		var subnet, addr string
		for i := range a {
			if a[i] == '=' {
				subnet, addr = a[:i], a[i+1:]
			}
		}
		p.Addrs = append(p.Addrs, cloud.PortAddr{SubnetID: cloud.SubnetID(subnet), Prefix: netip.PrefixFrom(netip.MustParseAddr(addr), 24)})
	}
	s.Ports[p.ID] = p
	return s
}

func (s slice) router(id cloud.RouterID, ports ...cloud.PortID) slice {
	s.Routers[id] = cloud.DesiredRouter{ID: id, Ports: ports}
	return s
}

const (
	nova = cloud.OwnerComputePrefix + "nova"
	dhcp = cloud.OwnerDHCP
	leg  = cloud.OwnerRouterInterface
)

// twoRooms: A and B behind rtr, C alone; the addresses of A and C overlap, and
// B has a further subnet, not attached, that overlaps with A's.
func twoRooms() slice {
	return newSlice(netA, netB, netC).
		port("a1", netA, nova, "one", "fa:16:3e:00:00:01", "sa=10.0.0.5", "sa6=2001:db8::5").
		port("a2", netA, nova, "two", "fa:16:3e:00:00:02", "sa=10.0.0.6").
		port("ad", netA, dhcp, "dhcp-a", "fa:16:3e:00:00:03", "sa=10.0.0.2").
		port("ar", netA, leg, string(rtr), "fa:16:3e:00:00:04", "sa=10.0.0.1").
		port("b1", netB, nova, "three", "fa:16:3e:00:00:05", "sb=10.0.1.5").
		port("b2", netB, nova, "four", "fa:16:3e:00:00:06", "sb2=10.0.0.6").
		port("b3", netB, nova, "", "fa:16:3e:00:00:07", "sb=10.0.1.7").
		port("b4", netB, nova, "four", "fa:16:3e:00:00:08", "sb2=10.0.0.77").
		port("br", netB, leg, string(rtr), "fa:16:3e:00:00:09", "sb=10.0.1.1").
		port("c1", netC, nova, "five", "fa:16:3e:00:00:01", "sc=10.0.0.5").
		port("c2", netC, nova, "six", "fa:16:3e:00:00:0a", "sc=10.0.0.9").
		port("c3", netC, nova, "seven", "fa:16:3e:00:00:0a", "sc=10.0.0.9").
		router(rtr, "ar", "br", "gone")
}

func TestFind(t *testing.T) {
	known := newTopology(twoRooms().Slice)
	for name, c := range map[string]struct {
		header http.Header
		want   string // the instance, "" for none
	}{
		"network":                            {headers(netA, "10.0.0.5"), "one"},
		"other network, same address":        {headers(netC, "10.0.0.5"), "five"},
		"router":                             {headers(rtr, "10.0.1.5"), "three"},
		"router, mapped address":             {headers(rtr, "::ffff:10.0.1.5"), "three"},
		"router, other subnet overlaps":      {headers(rtr, "10.0.0.6"), "two"},
		"router, subnet not attached":        {headers(rtr, "10.0.0.77"), ""},
		"router, address of another network": {headers(rtr, "10.0.0.9"), ""},
		"network, address of another":        {headers(netA, "10.0.1.5"), ""},
		"last of several addresses":          {headers(netA, "10.0.0.6, 10.0.0.5"), "one"},
		"last of several headers":            {headers(netA, "10.0.0.6", "10.0.0.5"), "one"},
		"IPv6":                               {headers(netA, "2001:db8::5"), "one"},
		"IPv6 in another spelling":           {headers(netA, "2001:0DB8:0::0:5"), "one"},
		"link-local":                         {headers(netA, "fe80::f816:3eff:fe00:1"), "one"},
		"link-local with a zone":             {headers(netA, "fe80::f816:3eff:fe00:1%ns-1"), "one"},
		"link-local by router":               {headers(rtr, "fe80::f816:3eff:fe00:5"), "three"},
		"link-local, not of a MAC":           {headers(netA, "fe80::1234:5678:9abc:1"), ""},
		"link-local, not fe80::/64":          {headers(netA, "fe80:0:0:1:f816:3eff:fe00:1"), ""},
		"link-local of the DHCP port":        {headers(netA, "fe80::f816:3eff:fe00:3"), ""},
		"link-local, MAC twice":              {headers(netC, "fe80::f816:3eff:fe00:a"), ""},
		"address twice":                      {headers(netC, "10.0.0.9"), ""},
		"DHCP port":                          {headers(netA, "10.0.0.2"), ""},
		"router interface":                   {headers(rtr, "10.0.1.1"), ""},
		"port without an instance":           {headers(netB, "10.0.1.7"), ""},
		"unknown router":                     {headers(other, "10.0.0.5"), ""},
		"unknown network":                    {headers(cloud.NetworkID(rtr), "10.0.0.5"), ""},
		"router's id as network":             {headers(cloud.RouterID(netA), "10.0.0.5"), ""},
		"nobody":                             {headers(netA, "10.0.0.99"), ""},
	} {
		q, malformed := parseQuery(c.header)
		if malformed != nil {
			t.Errorf("%s: %s", name, malformed.text)
			continue
		}
		port, err := find(t.Context(), known, q.Sender)
		if port.DeviceID != c.want || (c.want == "") != errors.Is(err, cloud.ErrNotFound) {
			t.Errorf("%s: %q, %v; want %q", name, port.DeviceID, err, c.want)
		}
	}
}

func TestMalformedQueries(t *testing.T) {
	both := headers(netA, "10.0.0.5")
	both.Set(cloud.HeaderRouterID, string(rtr))
	twice := headers(netA, "10.0.0.5")
	twice.Add(cloud.HeaderNetworkID, string(netA))
	other := headers(netA, "10.0.0.5")
	other["X_neutron_router_id"] = []string{string(rtr)}
	third := headers(netA, "10.0.0.5")
	third["X-Neutron-Subnet-Id"] = []string{string(netA)}
	for name, h := range map[string]http.Header{
		"both ids": both, "the other id in another spelling": other, "an id of a third kind": third,
		"empty id": headers(cloud.NetworkID(""), "10.0.0.5"), "no id's form": headers(cloud.NetworkID("x"), "10.0.0.5"),
		"two ids in one": headers(netA+","+netA, "10.0.0.5"), "an id twice": twice, "no id": {cloud.HeaderForwardedFor: {"10.0.0.5"}},
		"no address": headers(netA), "empty address": headers(netA, ""), "junk": headers(netA, "10.0.0.5, junk"),
		"open list": headers(netA, "10.0.0.5,"), "address and port": headers(netA, "10.0.0.5:80"),
	} {
		if q, malformed := parseQuery(h); malformed == nil || malformed.status != http.StatusBadRequest {
			t.Errorf("%s: %+v, %+v", name, q, malformed)
		}
	}
}

// headers names where a request came through and its addresses.
func headers[ID cloud.NetworkID | cloud.RouterID](id ID, addrs ...string) http.Header {
	h := http.Header{}
	switch id := any(id).(type) {
	case cloud.NetworkID:
		h.Set(cloud.HeaderNetworkID, string(id))
	case cloud.RouterID:
		h.Set(cloud.HeaderRouterID, string(id))
	}
	for _, a := range addrs {
		h.Add(cloud.HeaderForwardedFor, a)
	}
	return h
}

// TestFindAgainstAllPorts compares the look-up with a search through every
// port, over topologies whose addresses overlap and clash.
func TestFindAgainstAllPorts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := randomSlice(t)
		known := newTopology(s.Slice)
		q := cloud.Sender{Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(rapid.IntRange(0, 4).Draw(t, "host"))})}
		if rapid.Bool().Draw(t, "by router") {
			q.Router = cloud.RouterID(fmt.Sprint("r", rapid.IntRange(0, 3).Draw(t, "router")))
		} else {
			q.Network = cloud.NetworkID(fmt.Sprint("n", rapid.IntRange(0, 4).Draw(t, "network")))
		}
		got, err := find(context.Background(), known, q)
		want := search(s, q)
		switch {
		case len(want) == 1 && want[0].Compute():
			if err != nil || got.ID != want[0].ID {
				t.Fatalf("%+v: %s, %v; want %s", q, got.ID, err, want[0].ID)
			}
		case err == nil:
			t.Fatalf("%+v: %s; want none of %d", q, got.ID, len(want))
		}
	})
}

func randomSlice(t *rapid.T) slice {
	var networks []cloud.NetworkID
	for n := range rapid.IntRange(1, 4).Draw(t, "networks") {
		networks = append(networks, cloud.NetworkID(fmt.Sprint("n", n)))
	}
	s := newSlice(networks...)
	legs := map[cloud.RouterID][]cloud.PortID{}
	for p := range rapid.IntRange(0, 14).Draw(t, "ports") {
		id := fmt.Sprint("p", p)
		n := rapid.SampledFrom(networks).Draw(t, "network of "+id)
		subnet := fmt.Sprintf("%s-%d", n, rapid.IntRange(0, 1).Draw(t, "subnet of "+id))
		addr := fmt.Sprint(subnet, "=10.0.0.", rapid.IntRange(0, 4).Draw(t, "host of "+id))
		owner := rapid.SampledFrom([]string{nova, nova, nova, dhcp, leg}).Draw(t, "owner of "+id)
		device := "device-" + id
		if owner == leg {
			device = fmt.Sprint("r", rapid.IntRange(0, 2).Draw(t, "router of "+id))
			legs[cloud.RouterID(device)] = append(legs[cloud.RouterID(device)], cloud.PortID(id))
		}
		s.port(id, n, owner, device, fmt.Sprintf("fa:16:3e:00:00:%02x", p), addr)
	}
	for id, ports := range legs {
		s.router(id, ports...)
	}
	return s
}

// search is the rule of find, spelled out over all ports.
func search(s slice, q cloud.Sender) []cloud.DesiredPort {
	var found []cloud.DesiredPort
	for _, p := range s.Ports {
		for _, a := range p.Addrs {
			if a.Prefix.Addr() == q.Addr && (p.NetworkID == q.Network || attached(s, q.Router, p.NetworkID, a.SubnetID)) {
				found = append(found, p)
			}
		}
	}
	return found
}

func attached(s slice, r cloud.RouterID, n cloud.NetworkID, subnet cloud.SubnetID) bool {
	return slices.ContainsFunc(s.Routers[r].Ports, func(id cloud.PortID) bool {
		p := s.Ports[id]
		return p.NetworkID == n && p.Addrs[0].SubnetID == subnet
	})
}

func FuzzParseQuery(f *testing.F) {
	f.Add(string(netA), "", "10.0.0.5, ::ffff:10.0.0.6")
	f.Add("", string(rtr), "fe80::f816:3eff:fe00:1%x")
	known := newTopology(twoRooms().Slice)
	f.Fuzz(func(t *testing.T, network, router, addr string) {
		h := headers(cloud.NetworkID(network), addr)
		if router != "" {
			h = headers(cloud.RouterID(router), addr)
		}
		q, malformed := parseQuery(h)
		if malformed != nil {
			return
		}
		if q.Addr.Is4In6() || q.Addr.Zone() != "" {
			t.Errorf("%q is %v", addr, q.Addr)
		}
		if port, err := find(t.Context(), known, q.Sender); err == nil && !port.Compute() {
			t.Errorf("%+v finds %s", q, port.ID)
		}
	})
}
