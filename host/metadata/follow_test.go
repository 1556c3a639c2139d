package metadata

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"

	"imprint/base/openstack"
	"imprint/host/cloud"
)

func followed(t *testing.T, site Site, records ...cloud.Record) (*Index, func(...cloud.Change)) {
	t.Helper()
	m := cloud.NewModel()
	x := NewIndex(site, newFakeNouns(m), &fakeBlobs{}, nil)
	apply := func(changes ...cloud.Change) {
		t.Helper()
		for _, c := range changes {
			m.Apply(c)
		}
		if !x.refresh() {
			t.Error("the index is not complete")
		}
	}
	var all []cloud.Change
	for _, r := range records {
		all = append(all, cloud.Change{Record: r})
	}
	apply(all...)
	return x, apply
}

func somePort(id string, addr string) *cloud.Port {
	return &cloud.Port{PortID: cloud.PortID(id), NetworkID: "n", ProjectID: "p", MAC: "m",
		FixedIPs: []cloud.FixedIP{{SubnetID: "sub", Addr: netip.MustParseAddr(addr)}}}
}

func someSubnet() *cloud.Subnet {
	return &cloud.Subnet{SubnetID: "sub", NetworkID: "n", CIDR: netip.MustParsePrefix("10.0.0.0/24"), ServiceProviders: []string{"lb"}}
}

func instanceOf(t *testing.T, x *Index, id cloud.ServerID) *openstack.Instance {
	t.Helper()
	i, err := x.Instance(id)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// TestChangesAround: what is told follows ports, networks and subnets too, in
// whatever order they come; servers that they do not concern stay as they are.
func TestChangesAround(t *testing.T) {
	a := &cloud.Server{ServerID: "a", ProjectID: "p", Ports: []cloud.PortID{"pa"}}
	b := &cloud.Server{ServerID: "b", ProjectID: "p", Ports: []cloud.PortID{"pb"}}
	other := somePort("pb", "10.1.0.6")
	other.NetworkID = "n2"
	x, apply := followed(t, Site{CompleteNetwork: true}, a, b, &cloud.Network{NetworkID: "n2"}, other)
	untouched := instanceOf(t, x, "b")
	ports := func(want string) {
		t.Helper()
		var got []string
		for _, p := range instanceOf(t, x, "a").Ports {
			vlan := 0
			if p.VLAN != nil {
				vlan = p.VLAN.ID
			}
			got = append(got, fmt.Sprint(p.ID, " ", p.MTU, " ", len(p.Subnets), " ", vlan))
		}
		if text := strings.Join(got, "; "); text != want {
			t.Errorf("ports %q, want %q", text, want)
		}
	}
	put := func(r cloud.Record) cloud.Change { return cloud.Change{Record: r} }
	ports("")
	apply(put(somePort("pa", "10.0.0.5")))
	ports("") // no network yet
	apply(put(&cloud.Network{NetworkID: "n", MTU: 1500}))
	ports("pa 1500 0 0")
	apply(put(someSubnet()))
	ports("pa 1500 1 0")
	apply(put(&cloud.Network{NetworkID: "n", MTU: 9000}))
	ports("pa 9000 1 0")
	trunk := somePort("pa", "10.0.0.5")
	trunk.SubPorts = []cloud.SubPort{{PortID: "sub-port", SegmentationID: 101}}
	apply(put(trunk))
	ports("pa 9000 1 0")
	apply(put(somePort("sub-port", "10.0.0.7")))
	ports("pa 9000 1 0; sub-port 9000 1 101")
	apply(cloud.Change{Record: trunk, Deleted: true})
	ports("")
	if instanceOf(t, x, "b") != untouched {
		t.Error("a server that nothing concerned was made anew")
	}
}

// TestMoreThanTheModelRemembers: an index that was away for long looks at
// everything.
func TestMoreThanTheModelRemembers(t *testing.T) {
	gone := &cloud.Server{ServerID: "gone"}
	x, apply := followed(t, Site{}, gone, &cloud.Server{ServerID: "kept"})
	kept := instanceOf(t, x, "kept")
	changes := []cloud.Change{{Record: gone, Deleted: true}}
	for i := range 10_000 {
		changes = append(changes, cloud.Change{Record: &cloud.Server{ServerID: cloud.ServerID(fmt.Sprint(i % 3))}})
	}
	apply(changes...)
	if _, err := x.Instance("gone"); !errors.Is(err, cloud.ErrNotFound) || x.Len() != 4 {
		t.Errorf("%v; %d servers, want 4", err, x.Len())
	}
	if instanceOf(t, x, "kept") != kept {
		t.Error("a server that did not change was made anew")
	}
}

func TestAddressesOfAnIndex(t *testing.T) {
	a := &cloud.Server{ServerID: "a", ProjectID: "p", Ports: []cloud.PortID{"pa"}}
	b := &cloud.Server{ServerID: "b", ProjectID: "p", Ports: []cloud.PortID{"pb"}}
	pa, pb := somePort("pa", "10.0.0.5"), somePort("pb", "10.0.0.5")
	pb.NetworkID = "n2"
	x, apply := followed(t, Site{Addresses: true}, a, b, pa, pb, someSubnet(), &cloud.Network{NetworkID: "n"})
	addr := netip.MustParseAddr("10.0.0.5")
	at := func(want string) {
		t.Helper()
		if id, err := x.At(addr); string(id) != want || (want == "") != errors.Is(err, cloud.ErrNotFound) {
			t.Errorf("at %s: %q, %v; want %q", addr, id, err, want)
		}
	}
	behind := func(provider, want, text string) {
		t.Helper()
		id, err := x.Behind(provider, addr)
		if string(id) != want || text == "" && err != nil || text != "" && (err == nil || !strings.Contains(err.Error(), text)) {
			t.Errorf("behind %s: %q, %v; want %q, %q", provider, id, err, want, text)
		}
	}
	at("a")
	behind("lb", "a", "")
	behind("other", "", "Could not find any subnets for provider other")
	apply(cloud.Change{Record: &cloud.Network{NetworkID: "n2"}})
	at("") // two networks have it
	apply(cloud.Change{Record: pb, Deleted: true})
	at("a")
	moved := somePort("pa", "10.0.0.6")
	apply(cloud.Change{Record: moved})
	at("")
	behind("lb", "", "Expected a single port matching provider lb and IP 10.0.0.5. Found 0.")
	addr = netip.MustParseAddr("10.0.0.6")
	at("a")
	foreign := *moved
	foreign.ProjectID = "q"
	apply(cloud.Change{Record: &foreign})
	behind("lb", "", "not found")
	apply(cloud.Change{Record: a, Deleted: true})
	at("")
	behind("lb", "", "Could not find any subnets")
	if n := len(x.addresses.holders) + len(x.addresses.providers) + len(x.users); n != 1 { // the port of b
		t.Errorf("%d things are kept of servers that are gone", n)
	}
}

// TestFactsOfRecords: what the records have beside the captured ones is told.
func TestFactsOfRecords(t *testing.T) {
	yes := true
	port := somePort("pa", "10.0.0.5")
	port.Bond = &cloud.Bond{Mode: "active-backup", Links: []cloud.MAC{"m1", "m2"}, MIIMon: 100}
	x, _ := followed(t, Site{CompleteNetwork: true}, &cloud.Network{NetworkID: "n"}, someSubnet(), port, &cloud.Server{
		ServerID: "a", Ports: []cloud.PortID{"pa"}, KeyName: "k", KeyType: "x509", PublicKey: "cert", DedicatedCPUs: []int{2, 3}, Password: "pw",
		BootRoles: "member,admin", ImageID: "image",
		Devices: []cloud.Device{
			{Type: "nic", MAC: "m", Bus: "pci", Address: "0000:00:03.0", Tags: []string{"front"}, VLAN: 7, VFTrusted: &yes},
			{Type: "disk", Bus: "usb", Address: "none", Tags: []string{"data"}, Serial: "s", Path: "/dev/sdb"},
			{Type: "disk", Bus: "ide", Address: "0:1", Tags: []string{}},
			{Type: "share", Bus: "none", Address: "none", ShareID: "sh", Tag: "mnt"},
		},
	})
	told, err := x.Told("a")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/openstack/latest/meta_data.json": `"public_keys": {"k": "cert"}, "keys": [{"name": "k", "type": "x509", "data": "cert"}]`,
		"/openstack/2025-04-04/meta_data.json": `"devices": [{"vlan": 7, "vf_trusted": true, "type": "nic", "mac": "m", "bus": "pci", "address": "0000:00:03.0", "tags": ["front"]}, ` +
			`{"type": "disk", "serial": "s", "path": "/dev/sdb", "bus": "usb", "address": "none", "tags": ["data"]}, ` +
			`{"type": "disk", "bus": "ide", "address": "0:1", "tags": []}, ` +
			`{"type": "share", "share_id": "sh", "tag": "mnt", "bus": "none", "address": "none"}], "dedicated_cpus": [2, 3]}`,
		"/openstack/2020-10-14/meta_data.json": `{"type": "disk", "bus": "ide", "address": "0:1", "tags": []}], "dedicated_cpus": [2, 3]}`,
		"/openstack/latest/network_data.json":  `"bond_links": ["tappa-0", "tappa-1"], "bond_mode": "active-backup", "bond_miimon": 100`,
		"/openstack/latest/password":           "pw",
	} {
		p, err := told.page(openstack.Request{Path: path}, x.cache)
		if err != nil || !strings.Contains(string(p.Body), want) {
			t.Errorf("%s: %v\n%s\nlacks\n%s", path, err, p.Body, want)
		}
	}
	if i := told.Instance(); i.BootRoles != "member,admin" || i.ImageID != "image" {
		t.Errorf("roles %q, image %q", i.BootRoles, i.ImageID)
	}
}

// TestCacheIsBounded: with room for few instances all are told, and those that
// were asked for last are kept.
func TestCacheIsBounded(t *testing.T) {
	var servers []cloud.Record
	for i := range 100 {
		servers = append(servers, &cloud.Server{ServerID: cloud.ServerID(fmt.Sprint(i)), Name: fmt.Sprint(i)})
	}
	x, apply := followed(t, Site{CacheBytes: 50 << 10}, servers...)
	for round := range 3 {
		for i := range 100 {
			told, err := x.Told(cloud.ServerID(fmt.Sprint(i)))
			if err != nil {
				t.Fatal(err)
			}
			p, err := told.page(openstack.Request{Path: "/openstack/latest/meta_data.json"}, x.cache)
			if err != nil || !strings.Contains(string(p.Body), fmt.Sprintf(`"name": "%d"`, i)) {
				t.Fatalf("%d: %v\n%s", i, err, p.Body)
			}
		}
		if n, bytes := x.cache.usage(); bytes > 50<<10 || n < 10 {
			t.Errorf("round %d: %d instances with %d bytes are kept", round, n, bytes)
		}
	}
	last := instanceOf(t, x, "99")
	if instanceOf(t, x, "99") != last {
		t.Error("what was asked for last is not kept")
	}
	for _, s := range servers {
		apply(cloud.Change{Record: s, Deleted: true})
	}
	if n, bytes := x.cache.usage(); n != 0 || bytes != 0 {
		t.Errorf("%d instances with %d bytes are kept of servers that are gone", n, bytes)
	}
}

func TestSetVendorData(t *testing.T) {
	x, _ := followed(t, Site{}, &cloud.Server{ServerID: "a"})
	changes := x.Changes(t.Context())
	<-changes
	vendor := func() string {
		told, err := x.Told("a")
		if err != nil {
			t.Fatal(err)
		}
		p, err := told.page(openstack.Request{Path: "/openstack/latest/vendor_data.json"}, x.cache)
		if err != nil {
			t.Fatal(err)
		}
		return string(p.Body)
	}
	if got := vendor(); got != "{}" {
		t.Errorf("before: %s", got)
	}
	v, err := openstack.ParseVendorData([]byte(`{"a":1}`))
	if err != nil {
		t.Fatal(err)
	}
	x.SetVendorData(v)
	if got := vendor(); got != `{"a": 1}` {
		t.Errorf("after: %s", got)
	}
	select {
	case <-changes:
	default:
		t.Error("the watchers were not told")
	}
	if n, _ := x.cache.usage(); n != 1 {
		t.Errorf("%d instances are kept", n)
	}
}

// TestDocumentedFixture: the example in the documentation is one.
func TestDocumentedFixture(t *testing.T) {
	b, err := os.ReadFile("../../docs/metadata.md")
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(b)
	if example == nil {
		t.Fatal("there is no example")
	}
	i, err := openstack.ParseInstance(example[1])
	if err != nil {
		t.Fatal(err)
	}
	if i.Name != "c1" || len(i.Ports) != 1 || len(i.Devices) != 1 || i.ImageID == "" || string(i.UserData) != "#!/bin/sh\n" {
		t.Errorf("the example is read as %+v", i)
	}
}
