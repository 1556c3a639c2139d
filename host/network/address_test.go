package network

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"imprint/host/cloud"
)

func TestDefaults(t *testing.T) {
	for cidr, want := range map[string]struct {
		gateway string
		pools   []string
	}{
		"17.17.17.0/24":    {"17.17.17.1", []string{"17.17.17.2-17.17.17.254"}},
		"10.0.0.0/30":      {"10.0.0.1", []string{"10.0.0.2-10.0.0.2"}},
		"10.0.0.0/31":      {"10.0.0.1", []string{"10.0.0.0-10.0.0.0"}},
		"10.0.0.0/32":      {"invalid IP", []string{"10.0.0.0-10.0.0.0"}},
		"2001:db8:77::/64": {"2001:db8:77::", []string{"2001:db8:77::1-2001:db8:77:0:ffff:ffff:ffff:ffff"}},
	} {
		p := netip.MustParsePrefix(cidr)
		g := defaultGateway(p)
		if g.String() != want.gateway {
			t.Errorf("%s: gateway %s, want %s", cidr, g, want.gateway)
		}
		if diff := cmp.Diff(want.pools, texts(defaultPools(p, g))); diff != "" {
			t.Errorf("%s: pools %s", cidr, diff)
		}
	}
	inside := defaultPools(netip.MustParsePrefix("10.0.0.0/24"), netip.MustParseAddr("10.0.0.100"))
	if diff := cmp.Diff([]string{"10.0.0.1-10.0.0.99", "10.0.0.101-10.0.0.254"}, texts(inside)); diff != "" {
		t.Error(diff)
	}
}

func texts(pools []cloud.Range) []string {
	var out []string
	for _, p := range pools {
		out = append(out, p.Start.String()+"-"+p.End.String())
	}
	return out
}

func TestUsable(t *testing.T) {
	for _, c := range []struct {
		cidr, addr   string
		port, router bool
	}{
		{"10.0.0.0/24", "10.0.0.0", false, false},
		{"10.0.0.0/24", "10.0.0.255", false, false},
		{"10.0.0.0/24", "10.0.0.1", true, true},
		{"10.0.0.0/24", "10.0.1.1", false, false},
		{"2001:db8::/64", "2001:db8::", false, true},
		{"2001:db8::/64", "2001:db8::1", true, true},
		{"2001:db8::/64", "2001:db8::ffff:ffff:ffff:ffff", true, true},
		{"2001:db8::/64", "10.0.0.1", false, false},
	} {
		p, a := netip.MustParsePrefix(c.cidr), netip.MustParseAddr(c.addr)
		if usable(p, a, false) != c.port || usable(p, a, true) != c.router {
			t.Errorf("%+v", c)
		}
	}
}

// TestEUI64 has the addresses that a real Neutron gave (its recorded answers).
func TestEUI64(t *testing.T) {
	got := eui64(netip.MustParsePrefix("2001:db8:77::/64"), "fa:16:3e:77:54:4f")
	if got.String() != "2001:db8:77:0:f816:3eff:fe77:544f" {
		t.Error(got)
	}
}

// TestPools: whatever the subnet, the default pools have each address at most
// once, only usable ones, and never the gateway.
func TestPools(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.IntRange(8, 30).Draw(t, "bits")
		octets := rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "octets")
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte(octets)), bits).Masked()
		g := p.Addr()
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			if n := g.Next(); p.Contains(n) {
				g = n
			}
		}
		end := p.Addr()
		for _, r := range defaultPools(p, g) {
			if !end.Less(r.Start) || r.End.Less(r.Start) || r.Contains(g) || !usable(p, r.Start, false) || !usable(p, r.End, false) {
				t.Fatalf("%s with gateway %s: %s-%s", p, g, r.Start, r.End)
			}
			end = r.End
		}
	})
}
