package dhcp

import (
	"encoding/json"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"
)

var byValue = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func ack(t testing.TB, options map[uint8]string) *dhcpv4.DHCPv4 {
	m, err := dhcpv4.New(dhcpv4.WithYourIP(net.IPv4(17, 17, 17, 5)), dhcpv4.WithMessageType(dhcpv4.MessageTypeAck))
	if err != nil {
		t.Fatal(err)
	}
	for code, v := range map[uint8]string{54: "\x11\x11\x11\x02", 1: "\xff\xff\xff\x00"} {
		m.UpdateOption(dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(code), []byte(v)))
	}
	for code, v := range options {
		m.UpdateOption(dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(code), []byte(v)))
	}
	return m
}

func TestLeaseRoutes(t *testing.T) {
	classless := "\x20\xa9\xfe\xa9\xfe\x11\x11\x11\x02" + "\x00\x11\x11\x11\x01"
	full := []Route{
		{netip.MustParsePrefix("169.254.169.254/32"), netip.MustParseAddr("17.17.17.2")},
		{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("17.17.17.1")},
	}
	router := []Route{{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("17.17.17.9")}}
	for _, c := range []struct {
		name    string
		options map[uint8]string
		want    []Route
	}{
		{"121 wins over 3", map[uint8]string{121: classless, 3: "\x11\x11\x11\x09"}, full},
		{"249 for want of 121", map[uint8]string{249: classless, 3: "\x11\x11\x11\x09"}, full},
		{"router alone", map[uint8]string{3: "\x11\x11\x11\x09"}, router},
		{"121 cut short", map[uint8]string{121: classless[:7], 3: "\x11\x11\x11\x09"}, router},
		{"121 with an impossible length", map[uint8]string{121: "\x21\x11\x11\x11\x11\x11\x11\x11\x11", 3: "\x11\x11\x11\x09"}, router},
		{"nothing", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := newLease("eth0", ack(t, c.options), testNow)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, l.Routes, byValue); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestLeaseOfAnHonestServer(t *testing.T) {
	l, err := newLease("eth0", ack(t, map[uint8]string{
		51: "\x00\x01\x51\x80", 6: "\xc0\x00\x02\x35\xc0\x00\x02\x35", 15: "openstacklocal",
		12: "host-17-17-17-5", 26: "\x05\xaa", 119: "\x01a\x04test\x00",
	}), testNow)
	if err != nil {
		t.Fatal(err)
	}
	want := Lease{
		Interface: "eth0", Address: netip.MustParsePrefix("17.17.17.5/24"),
		ServerID: netip.MustParseAddr("17.17.17.2"), DNS: []netip.Addr{netip.MustParseAddr("192.0.2.53")},
		Domain: "openstacklocal", Search: []string{"a.test"}, HostName: "host-17-17-17-5", MTU: 1450,
		Acquired: testNow, Lifetime: 24 * time.Hour, Renew: 12 * time.Hour, Rebind: 21 * time.Hour,
	}
	if d := cmp.Diff(want, l, byValue); d != "" {
		t.Error(d)
	}
	b, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	var again Lease
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(l, again, byValue); d != "" {
		t.Errorf("changed by JSON: %s", d)
	}
}

func TestLeaseOfAHostileServer(t *testing.T) {
	l, err := newLease("eth0", ack(t, map[uint8]string{
		15: "evil\nnameserver 6.6.6.6", 12: "$(reboot)", 26: "\x00\x44", 6: "\x00\x00\x00\x00",
		58: "\xff\xff\xff\xff", 51: "\x00\x00\x00\x10",
	}), testNow)
	if err != nil {
		t.Fatal(err)
	}
	want := Lease{
		Interface: "eth0", Address: netip.MustParsePrefix("17.17.17.5/24"),
		ServerID: netip.MustParseAddr("17.17.17.2"), Acquired: testNow,
		Lifetime: 16 * time.Second, Renew: 8 * time.Second, Rebind: 14 * time.Second,
	}
	if d := cmp.Diff(want, l, byValue); d != "" {
		t.Error(d)
	}
	for name, break_ := range map[string]func(*dhcpv4.DHCPv4){
		"broadcast": func(m *dhcpv4.DHCPv4) { m.YourIPAddr = net.IPv4bcast },
		"multicast": func(m *dhcpv4.DHCPv4) { m.YourIPAddr = net.IPv4(224, 0, 0, 1) },
		"loopback":  func(m *dhcpv4.DHCPv4) { m.YourIPAddr = net.IPv4(127, 0, 0, 1) },
		"nobody":    func(m *dhcpv4.DHCPv4) { m.YourIPAddr = net.IPv4zero },
		"odd mask":  func(m *dhcpv4.DHCPv4) { m.UpdateOption(dhcpv4.OptSubnetMask(net.IPMask{255, 0, 255, 0})) },
		"no server": func(m *dhcpv4.DHCPv4) { m.DeleteOption(dhcpv4.OptionServerIdentifier) },
	} {
		m := ack(t, nil)
		break_(m)
		if l, err := newLease("eth0", m, testNow); err == nil {
			t.Errorf("%s: lease %+v", name, l)
		}
	}
}

func FuzzLease(f *testing.F) {
	reply, _, _, _ := testNetwork().Reply(message(f, dhcpv4.MessageTypeDiscover), testNow)
	f.Add(frame(reply))
	f.Add(frame(ack(f, map[uint8]string{119: "\x01a\xc0\x00", 121: "\x20\x01"}).ToBytes()))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= 24 {
			b[22], b[23] = 0, clientPort
		}
		payload, ok := unframe(b)
		if !ok {
			return
		}
		m, err := dhcpv4.FromBytes(payload)
		if err != nil {
			return
		}
		l, err := newLease("eth0", m, testNow)
		if err == nil && (!l.Address.IsValid() || l.Renew > l.Rebind || l.Rebind > l.Lifetime) {
			t.Fatalf("lease %+v", l)
		}
	})
}

func TestFrame(t *testing.T) {
	for _, payload := range []string{"", "a", "ab", "abc"} {
		b := frame([]byte(payload))
		if got := sum(b[:20], 0); got != 0xffff {
			t.Errorf("%q: IP checksum sums to %#x", payload, got)
		}
		if got := sum(b[20:], uint32(sum(b[12:20], 0))+17+uint32(8+len(payload))); got != 0xffff {
			t.Errorf("%q: UDP checksum sums to %#x", payload, got)
		}
		if _, ok := unframe(b); ok {
			t.Errorf("%q: a packet for the server passed", payload)
		}
		b[23] = clientPort
		if got, ok := unframe(b); !ok || string(got) != payload {
			t.Errorf("%q came back as %q, %v", payload, got, ok)
		}
	}
}
