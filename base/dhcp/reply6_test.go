package dhcp

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv6"
)

// testLocal is the link-local address of testMAC.
var testLocal = netip.MustParseAddr("fe80::f816:3eff:fe00:1%eth0")

func testNetwork6(stateful bool) *Network6 {
	return &Network6{
		ServerID: NewServerID([16]byte{1, 2, 3}), Domain: "openstacklocal",
		Subnets: []Subnet6{{Prefix: netip.MustParsePrefix("2001:db8::/64"), Stateful: stateful, DNS: []netip.Addr{netip.MustParseAddr("2001:db8::2")}}},
		Hosts:   map[MAC]Host6{testMAC: {Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::5")}}},
	}
}

// message6 writes a message of options with the client's identifier.
func message6(kind byte, options ...[]byte) []byte {
	b := []byte{kind, 7, 8, 9}
	b = append(b, append6(nil, clientID6, 0, 3, 0, 1, 0xfa, 0x16, 0x3e, 0, 0, 1)...)
	return append(b, slices.Concat(options...)...)
}

func server6ID(n *Network6) []byte { return append6(nil, serverID6, n.ServerID...) }

func ask6(codes ...uint16) []byte {
	var v []byte
	for _, c := range codes {
		v = binary.BigEndian.AppendUint16(v, c)
	}
	return append6(nil, asked6, v...)
}

// na is an association with addresses.
func na(addrs ...string) []byte {
	v := []byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}
	for _, a := range addrs {
		v = append6(v, iaAddr6, append(addr6(a), make([]byte, 8)...)...)
	}
	return append6(nil, iaNA6, v...)
}

// summary is a message in one line, read by the library.
func summary(t testing.TB, b []byte) string {
	t.Helper()
	if b == nil {
		return ""
	}
	m, err := dhcpv6.MessageFromBytes(b)
	if err != nil {
		t.Fatalf("%x: %v", b, err)
	}
	s := []string{m.MessageType.String()}
	for _, ia := range m.Options.IANA() {
		for _, a := range ia.Options.Addresses() {
			s = append(s, a.IPv6Addr.String()+" "+a.ValidLifetime.String())
		}
		if st := ia.Options.Status(); st != nil {
			s = append(s, "ia "+st.StatusCode.String())
		}
	}
	if st := m.Options.Status(); st != nil {
		s = append(s, st.StatusCode.String())
	}
	for _, d := range m.Options.DNS() {
		s = append(s, "dns "+d.String())
	}
	if l := m.Options.DomainSearchList(); l != nil {
		s = append(s, "search "+strings.Join(l.Labels, " "))
	}
	if f := m.Options.FQDN(); f != nil {
		s = append(s, "fqdn "+strings.Join(f.DomainName.Labels, "."))
	}
	if m.Options.ClientID() == nil && m.MessageType == dhcpv6.MessageTypeReply {
		s = append(s, "no client")
	}
	return strings.Join(s, ", ")
}

func TestReply6States(t *testing.T) {
	n := testNetwork6(true)
	none := testNetwork6(false)
	server := server6ID(n)
	other := append6(nil, serverID6, 0, 3, 0, 1, 2, 3, 4, 5, 6, 7)
	const granted = "2001:db8::5 24h0m0s"
	for _, c := range []struct {
		name    string
		network *Network6
		packet  []byte
		want    string
		kind    EventKind
	}{
		{"solicit", n, message6(solicit6, na(), ask6(dns6, search6)), "ADVERTISE, " + granted + ", dns 2001:db8::2, search openstacklocal", Offered},
		{"rapid", n, message6(solicit6, na(), ask6(), append6(nil, rapidCommit6)), "REPLY, " + granted, Acked},
		{"solicit, asks for nothing", n, message6(solicit6, na()), "ADVERTISE, " + granted + ", dns 2001:db8::2, search openstacklocal", Offered},
		{"solicit with a server", n, message6(solicit6, na(), server), "", ""},
		{"solicit without leases", none, message6(solicit6, na(), ask6()), "ADVERTISE, ia NoAddrsAvail", Offered},
		{"request", n, message6(request6, na("2001:db8::5"), server, ask6()), "REPLY, " + granted, Acked},
		{"request of another address", n, message6(request6, na("2001:db8::6"), server, ask6()), "REPLY, " + granted, Acked},
		{"request of another server", n, message6(request6, na(), other), "", ""},
		{"request of no server", n, message6(request6, na()), "", ""},
		{"renew", n, message6(renew6, na("2001:db8::5"), server, ask6()), "REPLY, " + granted, Acked},
		{"renew of another address", n, message6(renew6, na("2001:db8::6"), server, ask6()), "REPLY, " + granted + ", 2001:db8::6 0s", Acked},
		{"rebind", n, message6(rebind6, na("2001:db8::5"), ask6()), "REPLY, " + granted, Acked},
		{"confirm", n, message6(confirm6, na("2001:db8::77")), "REPLY, Success", Acked},
		{"confirm elsewhere", n, message6(confirm6, na("2001:db9::5")), "REPLY, NotOnLink", Refused},
		{"confirm of nothing", n, message6(confirm6, na()), "", ""},
		{"release", n, message6(release6, na("2001:db8::5"), server), "REPLY, Success", Released},
		{"decline", n, message6(decline6, na("2001:db8::5"), server), "REPLY, Success", Declined},
		{"information", none, message6(inform6, ask6(dns6, search6)), "REPLY, dns 2001:db8::2, search openstacklocal", Informed},
		{"information, nameless", none, append([]byte{inform6, 1, 2, 3}, ask6(dns6)...), "REPLY, dns 2001:db8::2, no client", Informed},
		{"information with an association", n, message6(inform6, na()), "", ""},
		{"name", n, message6(solicit6, na(), ask6(), append6(nil, fqdn6, 1, 1, 'x', 0)), "ADVERTISE, " + granted + ", fqdn host-2001-db8--5.openstacklocal", Offered},
		{"prefix delegation", n, message6(solicit6, ask6(), append6(nil, iaPD6, make([]byte, 12)...)), "ADVERTISE", Offered},
		{"two associations", n, message6(solicit6, na(), na(), ask6()), "ADVERTISE, " + granted + ", ia NoAddrsAvail", Offered},
		{"relayed", n, []byte{12, 0, 0, 0}, "", ""},
		{"a reply", n, message6(reply6), "", ""},
		{"nothing", n, nil, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			reply, ev, err := c.network.Reply(c.packet, testLocal, testNow)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, summary(t, reply)); d != "" {
				t.Error(d)
			}
			if (ev == nil) != (c.kind == "") || ev != nil && (ev.Kind != c.kind || ev.MAC != testMAC || ev.Addr.String() != "2001:db8::5") {
				t.Errorf("event %+v, want %q", ev, c.kind)
			}
		})
	}
}

func TestReply6OnlyToItsOwn(t *testing.T) {
	n := testNetwork6(true)
	for _, from := range []string{"fe80::f816:3eff:fe00:2", "fe80::1", "2001:db8::5", "::"} {
		if reply, ev, err := n.Reply(message6(solicit6, na()), netip.MustParseAddr(from), testNow); reply != nil || ev != nil || err != nil {
			t.Errorf("%s is answered: %x %v %v", from, reply, ev, err)
		}
	}
}

func TestReply6Malformed(t *testing.T) {
	n := testNetwork6(true)
	for name, packet := range map[string][]byte{
		"cut off":            message6(solicit6, na())[:20],
		"too many options":   message6(solicit6, slices.Repeat(append6(nil, 200), maxOptions6+1)),
		"short association":  message6(solicit6, append6(nil, iaNA6, 1, 2, 3)),
		"broken association": message6(solicit6, append6(nil, iaNA6, append(make([]byte, 12), 0, 5, 0, 99)...)),
	} {
		if reply, _, err := n.Reply(packet, testLocal, testNow); err == nil || reply != nil {
			t.Errorf("%s: %x, %v", name, reply, err)
		}
	}
}

func TestReply6Options(t *testing.T) {
	n := testNetwork6(true)
	h := n.Hosts[testMAC]
	for _, o := range [][2]string{{"bootfile-url", "tftp://[2001:db8::1]/x"}, {"dns-server", "2001:db8::9"}, {"domain-search", ""}} {
		parsed, err := ParseOption6(o[0], o[1])
		if err != nil {
			t.Fatal(err)
		}
		h.Options = append(h.Options, parsed)
	}
	n.Hosts[testMAC] = h
	reply, _, err := n.Reply(message6(solicit6, na(), ask6(59, dns6, search6)), testLocal, testNow)
	if got := summary(t, reply); err != nil || got != "ADVERTISE, 2001:db8::5 24h0m0s, dns 2001:db8::9" {
		t.Errorf("%s, %v", got, err)
	}
	if m, err := dhcpv6.MessageFromBytes(reply); err != nil || m.Options.BootFileURL() != "tftp://[2001:db8::1]/x" {
		t.Errorf("%v", m)
	}
	n.Lease = -1
	reply, ev, _ := n.Reply(message6(request6, na(), server6ID(n), ask6()), testLocal, testNow)
	if got := summary(t, reply); got != "REPLY, 2001:db8::5 "+Forever.String() || !ev.Expires.IsZero() {
		t.Errorf("for ever: %s, %+v", got, ev)
	}
}

func FuzzReply6(f *testing.F) {
	n := testNetwork6(true)
	for _, kind := range []byte{solicit6, request6, confirm6, renew6, rebind6, release6, decline6, inform6} {
		f.Add(message6(kind, na("2001:db8::5"), ask6(dns6)))
		f.Add(message6(kind, na("2001:db8::5"), server6ID(n)))
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		reply, ev, err := n.Reply(packet, testLocal, testNow)
		if reply == nil {
			return
		}
		if err != nil || ev == nil || len(reply) > maxReply6 {
			t.Fatalf("reply of %d bytes, event %v, error %v", len(reply), ev, err)
		}
		if _, ok := parse6(reply[4:]); !ok {
			t.Fatalf("%x", reply)
		}
	})
}

func BenchmarkReply6(b *testing.B) {
	n, packet := testNetwork6(true), message6(solicit6, na(), ask6(dns6))
	b.ReportAllocs()
	for b.Loop() {
		if _, ev, _ := n.Reply(packet, testLocal, time.Time{}); ev == nil {
			b.Fatal("no advertisement")
		}
	}
}
