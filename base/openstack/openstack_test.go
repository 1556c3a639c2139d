package openstack

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestVendorDataAsPythonWritesIt(t *testing.T) {
	// The right-hand sides are json.dumps(json.loads(left)) of Python 3.11.
	for in, want := range map[string]string{
		`{}`:                             `{}`,
		` {"b":1 , "a":[1,2,{}], "b":2}`: `{"b": 2, "a": [1, 2, {}]}`,
		`{"t":"ž\u0165\/<>&"}`:           `{"t": "\u017e\u0165/<>&"}`,
		`{"t":"😀` + "\x7f" + `"}`:        `{"t": "\ud83d\ude00\u007f"}`,
		`{"t":"a:b,c\"\\\n\u0001\b\f"}`:  `{"t": "a:b,c\"\\\n\u0001\b\f"}`,
		`{"t":"\u2028\u2029"}`:           `{"t": "\u2028\u2029"}`,
		`{"n":[1.0,1e16,1e15,0.0001,1e-5,-0,-0.0,123456789012345678901234567890,1.5E+300]}`: `{"n": [1.0, 1e+16, 1000000000000000.0, 0.0001, 1e-05, 0, -0.0, 123456789012345678901234567890, 1.5e+300]}`,
		`{"ž":null,"b":[true,false,[]]}`: `{"\u017e": null, "b": [true, false, []]}`,
	} {
		v, err := ParseVendorData([]byte(in))
		if got := string(v.Encode()); err != nil || got != want {
			t.Errorf("%s: %v\n got %s\nwant %s", in, err, got, want)
		}
		if got := string(v.Encode2()); got != `{"static": `+want+`}` {
			t.Errorf("%s: vendor_data2 is %s", in, got)
		}
	}
	var none VendorData
	if string(none.Encode()) != "{}" || string(none.Encode2()) != `{"static": {}}` {
		t.Errorf("no vendor data: %s, %s", none.Encode(), none.Encode2())
	}
}

func TestVendorDataRefused(t *testing.T) {
	for _, in := range []string{``, `[]`, `1`, `"a"`, `null`, `{} {}`, `{"a":}`, `{"a":1e999}`, `{"a":1`, `{1:2}`, strings.Repeat(`{"a":`, 20000)} {
		if _, err := ParseVendorData([]byte(in)); err == nil {
			t.Errorf("%.40q is taken", in)
		}
	}
}

func TestDevicesByVersion(t *testing.T) {
	yes := true
	i := &Instance{Devices: []Device{
		{Type: DeviceNIC, MAC: "m1", Bus: "pci", Address: "a", VLAN: 7},
		{Type: DeviceNIC, MAC: "m2", Bus: "pci", Address: "b", Tags: []string{"t"}, VFTrusted: &yes},
		{Type: DeviceShare, ShareID: "s", Tag: "mnt", Bus: "none", Address: "none"},
	}}
	const (
		tagged  = `{"type": "nic", "mac": "m2", "bus": "pci", "address": "b", "tags": ["t"]}`
		vlan    = `{"vlan": 7, "type": "nic", "mac": "m1", "bus": "pci", "address": "a"}`
		trusted = `{"vlan": 7, "vf_trusted": false, "type": "nic", "mac": "m1", "bus": "pci", "address": "a"}, ` +
			`{"vf_trusted": true, "type": "nic", "mac": "m2", "bus": "pci", "address": "b", "tags": ["t"]}`
		share = `{"type": "share", "share_id": "s", "tag": "mnt", "bus": "none", "address": "none"}`
	)
	for v, want := range map[Version]string{
		Liberty: ``, NewtonOne: `[` + tagged + `]`, Ocata: `[` + vlan + `, ` + tagged + `]`,
		Rocky: `[` + trusted + `]`, Victoria: `[` + trusted + `]`, Epoxy: `[` + trusted + `, ` + share + `]`,
	} {
		m, err := i.MetaData(v, strings.NewReader(strings.Repeat("x", seedBytes)))
		if err != nil {
			t.Fatal(err)
		}
		_, got, _ := strings.Cut(string(m.Encode()), `"devices": `)
		got, _, _ = strings.Cut(got, `, "dedicated_cpus"`)
		if v < Victoria {
			got = strings.TrimSuffix(got, "}") // devices come last
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", v, diff)
		}
	}
}

func TestNetworkData(t *testing.T) {
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	for name, c := range map[string]struct {
		ports []Port
		want  string
	}{
		"no port":             {nil, `{}`},
		"port without subnet": {[]Port{{ID: "p"}}, `{"links": [], "networks": [], "services": []}`},
		"routes, no gateway": {
			[]Port{{ID: "p", NetworkID: "n", MAC: "m", LinkID: "l", LinkType: "ovs", MTU: 1500, Subnets: []Subnet{{
				CIDR: prefix("18.18.16.0/21"), Addrs: []netip.Addr{addr("18.18.18.5")},
				Routes: []SubnetRoute{{prefix("198.51.100.7/24"), addr("18.18.18.1")}},
			}}}},
			`{"links": [{"id": "l", "vif_id": "p", "type": "ovs", "mtu": 1500, "ethernet_mac_address": "m"}], ` +
				`"networks": [{"id": "network0", "type": "ipv4", "link": "l", "ip_address": "18.18.18.5", "netmask": "255.255.248.0", ` +
				`"routes": [{"network": "198.51.100.0", "netmask": "255.255.255.0", "gateway": "18.18.18.1"}], "network_id": "n", "services": []}], "services": []}`,
		},
		"DHCPv6 without a mode": {
			[]Port{{ID: "p", NetworkID: "n", LinkID: "l", LinkType: "tap", MTU: 1500, Subnets: []Subnet{{
				CIDR: prefix("2001:db8::/64"), DHCP: true, Addrs: []netip.Addr{addr("2001:db8::5")},
			}}}},
			`{"links": [{"id": "l", "vif_id": "p", "type": "tap", "mtu": null}], ` +
				`"networks": [{"id": "network0", "type": "ipv6_dhcp", "link": "l", "network_id": "n"}], "services": []}`,
		},
	} {
		if got := string((&Instance{Ports: c.ports}).NetworkData().Encode()); got != c.want {
			t.Errorf("%s: %s", name, cmp.Diff(c.want, got))
		}
	}
}

func TestParseBondAndVLAN(t *testing.T) {
	const doc = `{"links": [{"id": "b", "type": "bond", "mtu": 9000, "bond_links": ["x", "y"], "bond_mode": "802.3ad", "bond_miimon": 100},
		{"id": "v", "type": "vlan", "vlan_link": "b", "vlan_id": 101, "vlan_mac_address": "fa:16:3e:00:00:01", "unknown": {}}]}`
	n, err := ParseNetworkData([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	mtu, miimon, vlan := 9000, 100, 101
	want := []Link{
		{ID: "b", Type: "bond", MTU: &mtu, BondLinks: []string{"x", "y"}, BondMode: "802.3ad", BondMIIMon: &miimon},
		{ID: "v", Type: "vlan", VLANLink: "b", VLANID: &vlan, VLANMAC: "fa:16:3e:00:00:01"},
	}
	if diff := cmp.Diff(want, n.Links); diff != "" {
		t.Error(diff)
	}
}

func TestLookupPaths(t *testing.T) {
	i := &Instance{UUID: "u", UserData: []byte{}, EC2: EC2{ImageID: "ami-1"}}
	peer := netip.MustParseAddr("10.0.0.9")
	for path, want := range map[string]string{
		"latest/meta-data/ami-id":             "ami-1",
		"/ec2/latest/meta-data/ami-id":        "ami-1",
		"/ec2":                                string(Root().Body),
		"/../..//":                            string(Root().Body),
		"/openstack/./x/../2012-08-10":        "meta_data.json\nuser_data",
		"/latest/user-data":                   "",
		"/1.0/meta-data/local-ipv4":           "10.0.0.9",
		"/latest/meta-data/ami-id/x":          "none",
		"/latest/user-data/x":                 "none",
		"/latest/meta-data/security-groups/x": "none",
		"/openstack/content":                  "none",
		"/openstack/content/0000":             "none",
		"/openstack/latest/latest":            "none",
		"/openstack//":                        string(versionList(time.Time{}).Body),
		"/latest/meta-data/\x00":              "none",
	} {
		d, err := i.Lookup(Request{Path: path, Peer: peer})
		got := string(d.Body)
		if errors.Is(err, ErrNoDocument) {
			got = "none"
		}
		if got != want {
			t.Errorf("%q: %q, %v; want %q", path, got, err, want)
		}
	}
}

func TestSeedSourceFails(t *testing.T) {
	broken := errors.New("no entropy")
	_, err := new(Instance).MetaData(Grizzly, iotest.ErrReader(broken))
	if !errors.Is(err, broken) {
		t.Errorf("error %v, want the source's own", err)
	}
}

func TestParseVersions(t *testing.T) {
	got := ParseVersions("2099-01-01\n2020-10-14\r\n2012-08-10\nlatest\n")
	if diff := cmp.Diff([]Version{Folsom, Victoria}, got); diff != "" {
		t.Error(diff)
	}
}
