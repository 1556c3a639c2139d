package dhcp

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"
)

var (
	testMAC = MAC{0xfa, 0x16, 0x3e, 0, 0, 1}
	testNow = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

func testNetwork() *Network {
	return &Network{
		Domain: "openstacklocal",
		MTU:    1450,
		Subnets: []Subnet{{
			Prefix:  netip.MustParsePrefix("17.17.17.0/24"),
			Server:  netip.MustParseAddr("17.17.17.2"),
			Gateway: netip.MustParseAddr("17.17.17.1"),
			DNS:     []netip.Addr{netip.MustParseAddr("192.0.2.53")},
			Routes: []Route{{
				To:  netip.MustParsePrefix("169.254.169.254/32"),
				Via: netip.MustParseAddr("17.17.17.1"),
			}},
		}},
		Hosts: map[MAC]Host{testMAC: {Addr: netip.MustParseAddr("17.17.17.5")}},
	}
}

func message(t testing.TB, mt dhcpv4.MessageType, mods ...dhcpv4.Modifier) []byte {
	t.Helper()
	m, err := dhcpv4.New(append([]dhcpv4.Modifier{
		dhcpv4.WithHwAddr(testMAC[:]), dhcpv4.WithMessageType(mt),
	}, mods...)...)
	if err != nil {
		t.Fatal(err)
	}
	return m.ToBytes()
}

func withServer(s string) dhcpv4.Modifier {
	return dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.ParseIP(s)))
}

func withRequested(s string) dhcpv4.Modifier {
	return dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(net.ParseIP(s)))
}

func withUsing(s string) dhcpv4.Modifier { return dhcpv4.WithClientIP(net.ParseIP(s)) }

func TestReplyStates(t *testing.T) {
	const none = dhcpv4.MessageTypeNone
	for _, c := range []struct {
		name   string
		packet []byte
		answer dhcpv4.MessageType
		dst    string
		kind   EventKind
	}{
		{"discover", message(t, dhcpv4.MessageTypeDiscover), dhcpv4.MessageTypeOffer, "255.255.255.255:68", Offered},
		{"selecting", message(t, dhcpv4.MessageTypeRequest, withServer("17.17.17.2"), withRequested("17.17.17.5")), dhcpv4.MessageTypeAck, "255.255.255.255:68", Acked},
		{"selecting another server", message(t, dhcpv4.MessageTypeRequest, withServer("17.17.17.9"), withRequested("17.17.17.5")), none, "", ""},
		{"selecting another address", message(t, dhcpv4.MessageTypeRequest, withServer("17.17.17.2"), withRequested("17.17.17.6")), dhcpv4.MessageTypeNak, "255.255.255.255:68", Refused},
		{"init-reboot", message(t, dhcpv4.MessageTypeRequest, withRequested("17.17.17.5")), dhcpv4.MessageTypeAck, "255.255.255.255:68", Acked},
		{"init-reboot elsewhere", message(t, dhcpv4.MessageTypeRequest, withRequested("10.0.0.5")), dhcpv4.MessageTypeNak, "255.255.255.255:68", Refused},
		{"renewing", message(t, dhcpv4.MessageTypeRequest, withUsing("17.17.17.5")), dhcpv4.MessageTypeAck, "17.17.17.5:68", Acked},
		{"renewing a stranger's", message(t, dhcpv4.MessageTypeRequest, withUsing("17.17.17.6")), dhcpv4.MessageTypeNak, "255.255.255.255:68", Refused},
		{"request for nothing", message(t, dhcpv4.MessageTypeRequest), none, "", ""},
		{"release", message(t, dhcpv4.MessageTypeRelease, withServer("17.17.17.2"), withUsing("17.17.17.5")), none, "", Released},
		{"release of another address", message(t, dhcpv4.MessageTypeRelease, withServer("17.17.17.2"), withUsing("17.17.17.6")), none, "", ""},
		{"decline", message(t, dhcpv4.MessageTypeDecline, withServer("17.17.17.2"), withRequested("17.17.17.5")), none, "", Declined},
		{"inform", message(t, dhcpv4.MessageTypeInform, withUsing("17.17.17.5")), dhcpv4.MessageTypeAck, "17.17.17.5:68", Informed},
		{"inform of a foreign address", message(t, dhcpv4.MessageTypeInform, withUsing("192.0.2.1")), none, "", ""},
		{"relayed", message(t, dhcpv4.MessageTypeDiscover, dhcpv4.WithRelay(net.IPv4(17, 17, 17, 9))), none, "", ""},
		{"unknown client", message(t, dhcpv4.MessageTypeDiscover, dhcpv4.WithHwAddr(net.HardwareAddr{2, 0, 0, 0, 0, 9})), none, "", ""},
		{"a reply", message(t, dhcpv4.MessageTypeOffer, func(d *dhcpv4.DHCPv4) { d.OpCode = dhcpv4.OpcodeBootReply }), none, "", ""},
		{"an offer as request", message(t, dhcpv4.MessageTypeOffer), none, "", ""},
		{"nothing", nil, none, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			reply, dst, ev, err := testNetwork().Reply(c.packet, testNow)
			if err != nil {
				t.Fatal(err)
			}
			if (ev == nil) != (c.kind == "") || ev != nil && ev.Kind != c.kind {
				t.Errorf("event %+v, want kind %q", ev, c.kind)
			}
			if c.answer == none {
				if reply != nil {
					t.Fatalf("answered with %x", reply)
				}
				return
			}
			m, err := dhcpv4.FromBytes(reply)
			if err != nil {
				t.Fatal(err)
			}
			if m.MessageType() != c.answer || dst.String() != c.dst {
				t.Errorf("got %s to %s, want %s to %s", m.MessageType(), dst, c.answer, c.dst)
			}
		})
	}
}

func TestReplyDetails(t *testing.T) {
	n := testNetwork()
	ask := message(t, dhcpv4.MessageTypeRequest, withUsing("17.17.17.5"),
		dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.OptionClientIdentifier, []byte{1, 2, 3})))
	reply, _, ev, _ := n.Reply(ask, testNow)
	m, err := dhcpv4.FromBytes(reply)
	if err != nil {
		t.Fatal(err)
	}
	want := &Event{Kind: Acked, MAC: testMAC, Addr: netip.MustParseAddr("17.17.17.5"),
		Name: "host-17-17-17-5", Time: testNow, Expires: testNow.Add(24 * time.Hour)}
	if d := cmp.Diff(want, ev, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Error(d)
	}
	if got := m.Options.Get(dhcpv4.OptionClientIdentifier); string(got) != "\x01\x02\x03" {
		t.Errorf("client identifier %x came back", got)
	}
	if [4]byte(ask[4:8]) != [4]byte(reply[4:8]) || len(reply) < minPacket {
		t.Errorf("transaction %x, length %d", reply[4:8], len(reply))
	}
	nak, _, _, _ := n.Reply(message(t, dhcpv4.MessageTypeRequest, withUsing("10.0.0.1")), testNow)
	if [12]byte(nak[12:24]) != [12]byte{} {
		t.Errorf("NAK carries addresses: %x", nak[12:24])
	}
	inform, _, _, _ := n.Reply(message(t, dhcpv4.MessageTypeInform, withUsing("17.17.17.5")), testNow)
	if m, _ := dhcpv4.FromBytes(inform); m.IPAddressLeaseTime(0) != 0 || address4(m.YourIPAddr) != "0.0.0.0" {
		t.Errorf("INFORM was granted %s for %s", m.YourIPAddr, m.IPAddressLeaseTime(0))
	}
}

func address4(ip net.IP) string { return ip.To4().String() }

func TestReplyWithoutSubnet(t *testing.T) {
	n := testNetwork()
	n.Hosts[testMAC] = Host{Addr: netip.MustParseAddr("10.9.9.9")}
	if _, _, _, err := n.Reply(message(t, dhcpv4.MessageTypeDiscover), testNow); err == nil {
		t.Fatal("no error")
	}
}

func TestReplyThatDoesNotFit(t *testing.T) {
	n := testNetwork()
	for i := range 40 {
		n.Subnets[0].Routes = append(n.Subnets[0].Routes, Route{
			To:  netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 24),
			Via: netip.MustParseAddr("17.17.17.9"),
		})
	}
	small, _, ev, _ := n.Reply(message(t, dhcpv4.MessageTypeDiscover), testNow)
	if len(small) > leastMax || string(ev.Omitted) != "\xf9\x79" {
		t.Errorf("%d bytes, omitted %d", len(small), ev.Omitted)
	}
	large, _, ev, _ := n.Reply(message(t, dhcpv4.MessageTypeDiscover,
		dhcpv4.WithOption(dhcpv4.OptMaxMessageSize(1500))), testNow)
	m, err := dhcpv4.FromBytes(large)
	if err != nil {
		t.Fatal(err)
	}
	routes, ok := decodeRoutes(m.Options.Get(dhcpv4.OptionClasslessStaticRoute))
	if !ok || len(ev.Omitted) != 0 {
		t.Fatalf("omitted %d", ev.Omitted)
	}
	if d := cmp.Diff(fmt.Sprint(n.Subnets[0].routes()), fmt.Sprint(routes)); d != "" {
		t.Error(d)
	}
}

// TestOffersAsDnsmasq compares with OFFERs of dnsmasq 2.90 under Neutron 21.0.0,
// option by option and in their order.
func TestOffersAsDnsmasq(t *testing.T) {
	b, err := os.ReadFile("testdata/neutron-21.0.0-offers.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Offers map[string]struct {
			Yiaddr, Siaddr string
			Options        [][3]any `json:"options_in_order"`
		}
	}
	if err := json.Unmarshal(b, &golden); err != nil || len(golden.Offers) < 8 {
		t.Fatalf("%d offers, %v", len(golden.Offers), err)
	}
	asked := dhcpv4.WithRequestedOptions()
	for _, c := range []uint8{1, 3, 6, 12, 15, 26, 28, 33, 42, 51, 54, 58, 59, 66, 67, 119, 121, 249} {
		asked = both(asked, dhcpv4.WithRequestedOptions(dhcpv4.GenericOptionCode(c)))
	}
	for name, g := range golden.Offers {
		t.Run(name, func(t *testing.T) {
			n := networkOf(t, g.Yiaddr, g.Siaddr, g.Options)
			reply, _, ev, err := n.Reply(message(t, dhcpv4.MessageTypeDiscover, asked), testNow)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(g.Options, readable(reply[240:])); d != "" {
				t.Error(d)
			}
			if got := net.IP(reply[20:24]).String(); got != g.Siaddr || ev.Addr.String() != g.Yiaddr {
				t.Errorf("siaddr %s, yiaddr %s", got, ev.Addr)
			}
		})
	}
}

func both(a, b dhcpv4.Modifier) dhcpv4.Modifier {
	return func(d *dhcpv4.DHCPv4) { a(d); b(d) }
}

// networkOf makes the network that Neutron had configured from what the golden
// offer says of gateway, name servers and routes.
func networkOf(t *testing.T, addr, server string, options [][3]any) *Network {
	sub := Subnet{Server: netip.MustParseAddr(server)}
	sub.Prefix = netip.PrefixFrom(sub.Server, 24).Masked()
	for _, o := range options {
		switch o[0].(float64) {
		case 3:
			sub.Gateway = netip.MustParseAddr(o[2].([]any)[0].(string))
		case 6:
			sub.DNS = []netip.Addr{netip.MustParseAddr(o[2].([]any)[0].(string))}
		case 121:
			for _, r := range o[2].([]any) {
				to, via, _ := strings.Cut(r.(string), " via ")
				if to != "0.0.0.0/0" {
					sub.Routes = append(sub.Routes, Route{netip.MustParsePrefix(to), netip.MustParseAddr(via)})
				}
			}
		}
	}
	return &Network{Domain: "openstacklocal", MTU: 1450, Subnets: []Subnet{sub},
		Hosts: map[MAC]Host{testMAC: {Addr: netip.MustParseAddr(addr)}}}
}

var optionNames = map[byte]string{
	53: "type", 54: "server id", 51: "lease s", 58: "renew s", 59: "rebind s", 1: "subnet mask",
	28: "broadcast", 15: "domain", 12: "host name", 3: "router", 249: "ms classless routes",
	121: "classless routes", 6: "dns", 26: "mtu",
}

// readable writes options as the golden file does.
func readable(b []byte) (list [][3]any) {
	for len(b) > 2 && b[0] != 255 {
		code, v := b[0], b[2:2+b[1]]
		list = append(list, [3]any{float64(code), optionNames[code], readableValue(code, v)})
		b = b[2+len(v):]
	}
	return list
}

func readableValue(code byte, v []byte) any {
	switch code {
	case 53:
		return float64(v[0])
	case 26:
		return float64(binary.BigEndian.Uint16(v))
	case 51, 58, 59:
		return float64(binary.BigEndian.Uint32(v))
	case 12, 15:
		return string(v)
	case 121, 249:
		var list []any
		routes, _ := decodeRoutes(v)
		for _, r := range routes {
			list = append(list, r.To.String()+" via "+r.Via.String())
		}
		return list
	}
	return []any{net.IP(v).String()}
}

func FuzzReply(f *testing.F) {
	for _, mt := range []dhcpv4.MessageType{1, 3, 4, 7, 8} {
		f.Add(message(f, mt, withRequested("17.17.17.5"), withUsing("17.17.17.5")))
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		if len(packet) >= 240 {
			// Let the fuzzer spend its time behind the cheap checks.
			copy(packet, []byte{1, 1, 6, 0})
			copy(packet[24:], []byte{0, 0, 0, 0})
			copy(packet[28:], testMAC[:])
			copy(packet[236:], []byte{99, 130, 83, 99})
		}
		reply, dst, ev, err := testNetwork().Reply(packet, testNow)
		if reply == nil {
			return
		}
		if err != nil || ev == nil || !dst.IsValid() || len(reply) > maxPacket {
			t.Fatalf("reply of %d bytes to %s, event %v, error %v", len(reply), dst, ev, err)
		}
		if dst.Addr() != broadcast && dst.Addr() != ev.Addr {
			t.Fatalf("reply sent to %s", dst)
		}
		if _, err := dhcpv4.FromBytes(reply); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkReply(b *testing.B) {
	n, packet := testNetwork(), message(b, dhcpv4.MessageTypeDiscover)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, ev, _ := n.Reply(packet, testNow); ev == nil {
			b.Fatal("no offer")
		}
	}
}
