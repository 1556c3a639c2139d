package dhcp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// options4 is a message with these options, unchecked.
func options4(t *testing.T, options ...byte) []byte {
	t.Helper()
	return append(message(t, dhcpv4.MessageTypeDiscover)[:240], options...)
}

// TestHostilePackets: none crashes, none is answered to a stranger's gain.
func TestHostilePackets(t *testing.T) {
	discover := message(t, dhcpv4.MessageTypeDiscover)
	overloaded := options4(t, 53, 1, 1, 52, 1, 3, 255)
	// Overload points into file and sname, where each says the same again.
	copy(overloaded[44:], []byte{52, 1, 3, 53, 1, 3, 255})
	copy(overloaded[108:], []byte{52, 1, 3, 54, 4, 9, 9, 9, 9, 255})
	for name, packet := range map[string][]byte{
		"overload that loops":          overloaded,
		"length past the end":          options4(t, 53, 200, 1),
		"no length":                    options4(t, 53),
		"no end":                       options4(t, 53, 1, 1),
		"only padding":                 options4(t, make([]byte, 300)...),
		"type of two bytes":            options4(t, 53, 2, 1, 1, 255),
		"empty type":                   options4(t, 53, 0, 255),
		"unknown type":                 options4(t, 53, 1, 99, 255),
		"server id of three bytes":     options4(t, 53, 1, 3, 54, 3, 1, 2, 3, 255),
		"wish of five bytes":           options4(t, 53, 1, 3, 50, 5, 1, 2, 3, 4, 5, 255),
		"size of one byte":             options4(t, 53, 1, 1, 57, 1, 9, 255),
		"many of one kind":             options4(t, append(bytes.Repeat([]byte{53, 1, 1}, 300), 255)...),
		"long client identifier":       options4(t, append(append([]byte{53, 1, 1, 61, 255}, make([]byte, 255)...), 255)...),
		"spoofed server":               options4(t, 53, 1, 3, 54, 4, 9, 9, 9, 9, 50, 4, 17, 17, 17, 5, 255),
		"release by another server id": options4(t, 53, 1, 7, 54, 4, 9, 9, 9, 9, 255),
		"hardware type":                func() []byte { p := slices.Clone(discover); p[1] = 6; return p }(),
		"hardware length":              func() []byte { p := slices.Clone(discover); p[2] = 16; return p }(),
		"no cookie":                    func() []byte { p := slices.Clone(discover); p[236] = 0; return p }(),
		"too long":                     append(slices.Clone(discover), make([]byte, maxPacket)...),
	} {
		reply, _, _, err := testNetwork().Reply(packet, testNow)
		if len(reply) > maxPacket {
			t.Errorf("%s: %d bytes", name, len(reply))
		}
		if reply != nil && err != nil {
			t.Errorf("%s: both an answer and %v", name, err)
		}
		switch name {
		case "spoofed server", "hardware type", "hardware length", "no cookie", "too long", "only padding", "unknown type":
			if reply != nil {
				t.Errorf("%s: answered", name)
			}
		}
	}
	for n := range len(discover) {
		testNetwork().Reply(discover[:n], testNow)
	}
}

// TestFlood: strangers' packets leave nothing behind, and a client that shouts
// is heard a few times only, while another is served.
func TestFlood(t *testing.T) {
	n := testNetwork()
	other := MAC{0xfa, 0x16, 0x3e, 0, 0, 2}
	n.Hosts[other] = Host{Addr: netip.MustParseAddr("17.17.17.6")}
	answered := map[MAC]int{}
	s := server{conn: nowhere{}, lookup: func() *Network { return n }, on: func(e Event) { answered[e.MAC]++ }, log: slog.New(slog.DiscardHandler), limit: limiter{}}
	packet := message(t, dhcpv4.MessageTypeDiscover)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 200_000 {
		binary.BigEndian.PutUint32(packet[30:], random.Uint32())
		s.handle(packet, netip.IPv4Unspecified(), testNow.Add(time.Duration(i)*time.Microsecond))
	}
	if len(s.limit) != 0 || len(answered) != 0 {
		t.Errorf("%d buckets, answered %v", len(s.limit), answered)
	}
	copy(packet[28:], testMAC[:])
	for i := range 10_000 {
		s.handle(packet, netip.IPv4Unspecified(), testNow.Add(time.Duration(i)*100*time.Microsecond)) // in a second
	}
	copy(packet[28:], other[:])
	s.handle(packet, netip.MustParseAddr("10.9.9.9"), testNow.Add(time.Second)) // over a router
	s.handle(packet, netip.MustParseAddr("17.17.17.6"), testNow.Add(time.Second))
	if got := answered[testMAC]; got > burst+perSecond+1 || got < burst {
		t.Errorf("who shouts is heard %d times", got)
	}
	if answered[other] != 1 {
		t.Errorf("the other is heard %d times", answered[other])
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("the flood left %d bytes", grown)
	}
}

// nowhere takes replies.
type nowhere struct{ net.PacketConn }

func (nowhere) WriteTo(b []byte, _ net.Addr) (int, error) { return len(b), nil }

// TestFlood6 is the same for DHCPv6.
func TestFlood6(t *testing.T) {
	conn, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
	if err != nil {
		t.Skip("no IPv6 here")
	}
	defer conn.Close()
	n := testNetwork6(true)
	heard := 0
	s := server6{conn: conn, lookup: func() *Network6 { return n }, on: func(Event) { heard++ }, log: slog.New(slog.DiscardHandler), limit: limiter{}}
	packet := message6(solicit6, na())
	for i := range 50_000 {
		from := netip.MustParseAddr(fmt.Sprintf("fe80::f816:3eff:fe%02x:%x", 1+i>>16, i&0xffff))
		s.handle(packet, netip.AddrPortFrom(from, clientPort6), testNow)
	}
	if len(s.limit) != 0 || heard != 0 {
		t.Errorf("%d buckets, %d heard", len(s.limit), heard)
	}
	for i := range 1000 {
		s.handle(packet, netip.AddrPortFrom(testLocal.WithZone(""), clientPort6), testNow.Add(time.Duration(i)*time.Millisecond))
	}
	if heard > burst+perSecond+1 || heard < burst {
		t.Errorf("who shouts is heard %d times", heard)
	}
}
