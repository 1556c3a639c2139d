package netstate

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What Nova writes for a network of both families.
const novaInterfaces = `# Injected by Nova on instance boot

# The loopback network interface
auto lo
iface lo inet loopback

auto eth0
iface eth0 inet static
    hwaddress ether fa:16:3e:00:00:01
    address 10.10.3.25
    netmask 255.255.255.0
    broadcast 10.10.3.255
    gateway 10.10.3.1
    dns-nameservers 192.0.2.53 192.0.2.54
iface eth0 inet6 static
    hwaddress ether FA:16:3E:00:00:01
    address 2001:db8:3::293
    netmask 64
    gateway 2001:db8:3::
`

func TestFromInterfaces(t *testing.T) {
	s, problems, err := FromInterfaces([]byte(novaInterfaces+`
iface ens4 inet dhcp
auto ens4:1
iface ens4:1 inet6 auto
    dns-search a.test b.test
`), testNICs)
	if err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	addr := netip.MustParseAddr
	want := &State{Links: []Link{
		{Name: "ens3", Type: Physical, MAC: "fa:16:3e:00:00:01", Subnets: []Subnet{
			{Method: Static, Address: netip.MustParsePrefix("10.10.3.25/24"), Gateway: addr("10.10.3.1"),
				Broadcast: addr("10.10.3.255"), DNS: []netip.Addr{addr("192.0.2.53"), addr("192.0.2.54")}},
			{Method: Static, Address: netip.MustParsePrefix("2001:db8:3::293/64"), Gateway: addr("2001:db8:3::")},
		}},
		{Name: "ens4", Type: Physical, Subnets: []Subnet{{Method: DHCP4, ByHand: true}, {Method: SLAAC, Search: []string{"a.test", "b.test"}}}},
	}}
	if d := cmp.Diff(want, s, byValue); d != "" {
		t.Error(d)
	}
}

func TestFromInterfacesLeavesOutWhatMakesNoSense(t *testing.T) {
	const static = "iface ens3 inet static\naddress 10.0.0.5\n"
	for name, c := range map[string]struct {
		text    string
		subnets int
	}{
		"method":            {"iface ens3 inet ppp\n", 0},
		"no address":        {"iface ens3 inet static\n", 0},
		"address":           {"iface ens3 inet static\naddress 10.0.0.5;reboot\n", 0},
		"another family":    {"iface ens3 inet6 static\naddress 10.0.0.5\n", 0},
		"mask":              {static + "netmask 255.0.255.0\n", 0},
		"gateway":           {static + "gateway ::1\n", 1},
		"name server":       {static + "dns-nameservers $(reboot)\n", 1},
		"search":            {static + "dns-search `reboot`\n", 1},
		"a command":         {static + "up reboot\n", 1},
		"files":             {static + "source /etc/shadow\n", 1},
		"an option of none": {"address 10.0.0.5\n" + static, 1},
		"no value":          {static + "netmask\n", 1},
		"a NIC by name":     {static + "iface eth9 inet dhcp\n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			s, problems, err := FromInterfaces([]byte(c.text), testNICs)
			if err != nil || len(problems) != 1 || len(s.Links) != 1 || len(s.Links[0].Subnets) != c.subnets {
				t.Errorf("%+v, %q, %v", s, problems, err)
			}
		})
	}
}

func TestFromInterfacesErrors(t *testing.T) {
	if _, _, err := FromInterfaces([]byte("iface eth0 inet static\nhwaddress ether 02:00:00:00:00:99\n"), testNICs); !errors.Is(err, ErrNoNIC) {
		t.Error(err)
	}
	for name, text := range map[string]string{
		"no NIC":    "iface eth9 inet dhcp\n",
		"no sense":  "{}",
		"too large": strings.Repeat("#\n", MaxInterfaces),
	} {
		if s, _, err := FromInterfaces([]byte(text), testNICs); err == nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func FuzzFromInterfaces(f *testing.F) {
	f.Add([]byte(novaInterfaces))
	f.Add([]byte("auto ens3\niface ens3:1 inet6 auto\niface ens4 inet static\naddress 10.0.0.1/8\ndns-search a"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, _, err := FromInterfaces(b, testNICs)
		if err != nil {
			return
		}
		for _, l := range s.Links {
			if _, known := byName(l.Name); !known {
				t.Fatalf("link %q", l.Name)
			}
		}
		if _, err := json.Marshal(s); err != nil {
			t.Fatal(err)
		}
	})
}

func byName(name string) (NIC, bool) {
	for _, n := range testNICs {
		if n.Name == name {
			return n, true
		}
	}
	return NIC{}, false
}
