package metadata

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/base/openstack"
	"imprint/host/cloud"
)

// modelOf turns captured facts back into the nouns that they came from.
func modelOf(t *testing.T, blobs *fakeBlobs, instances ...*openstack.Instance) *cloud.Model {
	t.Helper()
	m := cloud.NewModel()
	put := func(r cloud.Record) { m.Apply(cloud.Change{Record: r}) }
	at := func(n int) cloud.Meta { return cloud.Meta{CreatedAt: time.Unix(int64(n), 0)} }
	for _, i := range instances {
		s := &cloud.Server{
			ServerID: cloud.ServerID(i.UUID), ProjectID: cloud.ProjectID(i.ProjectID), Name: i.Name,
			HostName: strings.TrimSuffix(i.Hostname, ".novalocal"), AvailabilityZone: i.AvailabilityZone,
			LaunchIndex: i.LaunchIndex, Metadata: i.Meta, ReservationID: i.EC2.ReservationID,
			ImageID: "0badcafe-0000-4000-8000-000000000001", Flavor: cloud.Flavor{Name: i.EC2.InstanceType},
			SecurityGroups: i.EC2.SecurityGroups[:len(i.EC2.SecurityGroups)/len(i.Ports)],
		}
		if _, err := fmt.Sscanf(i.EC2.InstanceID, "i-%x", &s.Number); err != nil {
			t.Fatal(err)
		}
		if i.Key != nil {
			s.KeyName, s.KeyType, s.PublicKey = i.Key.Name, i.Key.Type, i.Key.Data
		}
		if i.UserData != nil {
			s.UserData = blobs.add(i.UserData)
		}
		for _, p := range i.Ports {
			s.Ports = append(s.Ports, cloud.PortID(p.ID))
			network := cloud.NetworkID(p.NetworkID)
			put(&cloud.Network{NetworkID: network, MTU: p.MTU})
			port := &cloud.Port{PortID: cloud.PortID(p.ID), NetworkID: network, MAC: cloud.MAC(p.MAC), DeviceID: i.UUID}
			for n, sub := range p.Subnets {
				id := cloud.SubnetID(sub.CIDR.String())
				noun := &cloud.Subnet{
					Meta: at(n), SubnetID: id, NetworkID: network, CIDR: sub.CIDR, Gateway: sub.Gateway,
					DHCP: sub.DHCP, DNS: sub.DNS, IPv6AddrMode: sub.AddressMode,
				}
				for _, r := range sub.Routes {
					noun.HostRoutes = append(noun.HostRoutes, cloud.Route{Destination: r.Destination, NextHop: r.Gateway})
				}
				put(noun)
				for _, a := range sub.Addrs {
					port.FixedIPs = append(port.FixedIPs, cloud.FixedIP{SubnetID: id, Addr: a})
				}
			}
			put(port)
		}
		put(s)
	}
	return m
}

// TestReplayFromModel asks for the captured instances that the nouns can
// express (c3 has devices and a floating address). Nova had flat_injected on.
func TestReplayFromModel(t *testing.T) {
	r := newReplay(t)
	g := r.golden
	all := goldenFixture(t)
	blobs := &fakeBlobs{}
	var some []*openstack.Instance
	for _, i := range g.Instances {
		if i.Name != "c3" {
			told, err := all.Told(i.ID)
			if err != nil {
				t.Fatal(err)
			}
			some = append(some, told.Instance())
		}
	}
	nouns := newFakeNouns(modelOf(t, blobs, some...))
	x := NewIndex(Site{Domain: "novalocal", VendorData: siteVendorData(t), FlatInjected: true}, nouns, blobs, nil)
	if !x.refresh() {
		t.Fatal("the index is not complete")
	}
	url := serve(t, Options{Instances: x, Vendor: goldenVendorTargets(t, nil, nil)})
	for _, i := range g.Instances {
		if _, err := x.Instance(i.ID); err != nil {
			continue
		}
		for path, want := range i.Responses {
			got := ask(t, url, "GET", path, headersOf(i.Headers), "")
			expected, _ := newer(path, r.captured(want))
			switch {
			case strings.HasSuffix(path, "/password") && want.status == 200:
				expected.Body = ""
			case strings.HasSuffix(path, "/ami-id"):
				expected.Body = "ami-0badcafe"
			case strings.Contains(path, "/block-device-mapping/"):
				expected.Body = strings.Replace(expected.Body, "sda", "vda", 1)
			}
			if diff := cmp.Diff(expected, got); diff != "" {
				t.Errorf("%s %s: -nova +ours\n%s", i.Name, path, diff)
			}
		}
	}
}

func TestDisksOfAFlavor(t *testing.T) {
	got := blockDevices(cloud.Flavor{Ephemeral: 1, Swap: 64})
	want := map[string]string{"ami": "vda", "root": "/dev/vda", "ephemeral0": "/dev/vdb", "swap": "/dev/vdc"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := blockDevices(cloud.Flavor{Swap: 64}); got["swap"] != "/dev/vdb" {
		t.Errorf("swap alone is %s", got["swap"])
	}
}

func TestSecurityGroupsOncePerPort(t *testing.T) {
	m := cloud.NewModel()
	s := &cloud.Server{ServerID: "s", Ports: []cloud.PortID{"a", "b", "gone"}, SecurityGroups: []string{"x", "y"}}
	m.Apply(cloud.Change{Record: &cloud.Network{NetworkID: "n"}})
	for _, id := range s.Ports[:2] {
		m.Apply(cloud.Change{Record: &cloud.Port{PortID: id, NetworkID: "n", FixedIPs: []cloud.FixedIP{{SubnetID: "none", Addr: netip.MustParseAddr("10.0.0.1")}}}})
	}
	got := factsOf(m, s).instance(Site{}, nil).EC2.SecurityGroups
	if diff := cmp.Diff([]string{"x", "y", "x", "y"}, got); diff != "" {
		t.Error(diff)
	}
}
