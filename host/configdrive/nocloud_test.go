package configdrive

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imprint/base/openstack"
)

func TestNoCloudOfAnInstance(t *testing.T) {
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	vendor, err := openstack.ParseVendorData([]byte(`{"cloud-init": "#cloud-config\n{}\n", "more": 1}`))
	if err != nil {
		t.Fatal(err)
	}
	i := &openstack.Instance{
		UUID: "u", Hostname: "c3.novalocal", UserData: []byte("#!/bin/sh\n"), VendorData: vendor, Key: &openstack.Key{Name: "k", Type: "ssh", Data: "ssh-ed25519 AAAA k"},
		Ports: []openstack.Port{
			{MAC: "fa:16:3e:00:00:01", MTU: 1450, Subnets: []openstack.Subnet{{CIDR: prefix("10.0.0.0/24"), DHCP: true}, {CIDR: prefix("fd00::/64"), AddressMode: "slaac"}}},
			{MAC: "fa:16:3e:00:00:02", Subnets: []openstack.Subnet{
				{CIDR: prefix("18.18.18.0/24"), Gateway: addr("18.18.18.1"), DNS: []netip.Addr{addr("18.18.18.53")}, Addrs: []netip.Addr{addr("18.18.18.5")},
					Routes: []openstack.SubnetRoute{{Destination: prefix("198.51.100.0/24"), Gateway: addr("18.18.18.2")}}},
				{CIDR: prefix("fd01::/64"), Gateway: addr("fd01::1"), Addrs: []netip.Addr{addr("fd01::5")}}, {CIDR: prefix("fd02::/64")},
			}},
			{MAC: "fa:16:3e:00:00:03", Subnets: []openstack.Subnet{{CIDR: prefix("fd03::/64"), DHCP: true, AddressMode: "dhcpv6-stateful"}}},
		},
	}
	files, err := noCloud(i)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range files {
		got[f.Path] = string(f.Body)
	}
	want := map[string]string{
		"meta-data":   `{"instance-id":"u","local-hostname":"c3.novalocal","public-keys":["ssh-ed25519 AAAA k"]}` + "\n",
		"user-data":   "#!/bin/sh\n",
		"vendor-data": "#cloud-config\n{}\n",
		"network-config": `{"version":2,"ethernets":{"eth0":{"match":{"macaddress":"fa:16:3e:00:00:01"},"set-name":"eth0","mtu":1450,"dhcp4":true,"accept-ra":true},` +
			`"eth1":{"match":{"macaddress":"fa:16:3e:00:00:02"},"set-name":"eth1","addresses":["18.18.18.5/24","fd01::5/64"],` +
			`"routes":[{"to":"0.0.0.0/0","via":"18.18.18.1"},{"to":"198.51.100.0/24","via":"18.18.18.2"},{"to":"::/0","via":"fd01::1"}],"nameservers":{"addresses":["18.18.18.53"]}},` +
			`"eth2":{"match":{"macaddress":"fa:16:3e:00:00:03"},"set-name":"eth2","dhcp6":true,"accept-ra":true}}}` + "\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	drive := func(v Volume) *Drive {
		m, err := v.Instance(i)
		if err != nil {
			t.Fatal(err)
		}
		return written(t, m)
	}
	for _, format := range []Format{ISO9660, VFAT} {
		d := drive(Volume{Format: format, Label: NoCloud})
		if wrong := d.Verify(); len(wrong) > 0 {
			t.Errorf("%s: %v", format, wrong)
		}
		if diff := cmp.Diff(want, contents(t, d)); diff != "" {
			t.Errorf("%s: %s", format, diff)
		}
	}
}
