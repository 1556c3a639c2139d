package fabric

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"imprint/base/netdev"
	"imprint/base/netns"
	"imprint/base/nft"
	"imprint/host/cloud"
)

// wire sends and hears whole frames on a link.
type wire struct {
	t  *testing.T
	fd int
}

func openWire(t *testing.T, ns *netns.NS, link string) wire {
	t.Helper()
	run(t, ns, "ip link set "+link+" up")
	fd := -1
	err := ns.Do(func() (err error) {
		const all = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all); err != nil {
			return err
		}
		h, err := openLink(ns, link)
		if err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: h})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	timeout := unix.NsecToTimeval(int64(10 * time.Second))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		t.Fatal(err)
	}
	return wire{t, fd}
}

func (w wire) send(frame []byte) {
	w.t.Helper()
	if _, err := unix.Write(w.fd, frame); err != nil {
		w.t.Fatal(err)
	}
}

// hears reports whether frame comes before the marker.
func (w wire) hears(frame, marker []byte) bool {
	w.t.Helper()
	buf := make([]byte, 2048)
	heard := false
	for {
		n, err := unix.Read(w.fd, buf)
		if err != nil {
			w.t.Fatalf("marker not heard: %v", err)
		}
		got := buf[:n]
		if bytes.Equal(got, marker) {
			return heard
		}
		heard = heard || bytes.Equal(got, frame)
	}
}

const (
	everyone = "ffffffffffff"
	mine     = "fa163e000001"
	theirs   = "fa163e000099"
)

func frame(parts ...string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(strings.Join(parts, ""), " ", ""))
	if err != nil {
		panic(err)
	}
	return append(b, make([]byte, max(0, 60-len(b)))...)
}

func arp(src, senderMAC, senderIP string) []byte {
	return frame(everyone, src, "0806", "0001 0800 06 04 0001", senderMAC, hexAddr(senderIP), "000000000000", hexAddr("10.0.0.2"))
}

func hexAddr(a string) string { return hex.EncodeToString(netip.MustParseAddr(a).AsSlice()) }

func udp4(src, from string, sport, dport uint16) []byte {
	var ports [4]byte
	binary.BigEndian.PutUint16(ports[:], sport)
	binary.BigEndian.PutUint16(ports[2:], dport)
	return frame(everyone, src, "0800", "45 00 001c 0000 4000 40 11 0000", hexAddr(from), "ffffffff", hex.EncodeToString(ports[:]), "0008 0000")
}

// dhcp is a message to the server about the client with a MAC.
func dhcp(from, client string) []byte {
	return frame(everyone, mine, "0800", "45 00 0108 0000 4000 40 11 0000", hexAddr(from), "ffffffff", "0044 0043 00f4 0000",
		"01 01 06 00", strings.Repeat("00", 24), client, strings.Repeat("00", 202))
}

// icmp6 is a message of a type whose body begins with an address.
func icmp6(from, kind, about string) []byte {
	return frame(everyone, mine, "86dd", "60000000 0018 3a ff", hexAddr(from), hexAddr("ff02::1"), kind, "00 0000 00000000", hexAddr(about))
}

func udp6(from, sport string) []byte {
	return frame(everyone, mine, "86dd", "60000000 0008 11 ff", hexAddr(from), hexAddr("ff02::1"), sport, "0222 0008 0000")
}

// behind6 is a packet with an extension header of a kind, and what follows.
func behind6(from, kind string, parts ...string) []byte {
	payload := frame(parts...)
	length := len(strings.ReplaceAll(strings.Join(parts, ""), " ", "")) / 2
	return frame(everyone, mine, "86dd", "60000000", fmt.Sprintf("%04x", length), kind, "ff", hexAddr(from), hexAddr("ff02::1"), hex.EncodeToString(payload[:length]))
}

func TestGuard(t *testing.T) {
	l := newLab(t, "guard")
	network := cloud.NetworkID(cloud.NewUUID())
	vm := port(network, "compute:nova", "fa:16:3e:00:00:01", "10.0.0.5/24", "10.0.0.6/24", "2001:db8::5/64")
	router := port(network, cloud.OwnerRouterInterface, "fa:16:3e:00:00:02", "10.0.0.1/24")
	a, b := l.namespace("a"), l.namespace("b")
	l.must(l.f.Plug(Plug{Port: router, MTU: 1450, Target: b, Name: PortLink(router)}))
	l.must(l.f.Plug(Plug{Port: vm, MTU: 1450, Target: a, Name: "eth0"}))
	from, to := openWire(t, a, "eth0"), openWire(t, b, PortLink(router))
	waitForward(t, from, to)

	const local, foreign6 = "fe80::f816:3eff:fe00:1", "2001:db8::66"
	tests := []struct {
		name  string
		frame []byte
		want  bool
	}{
		{"own IPv4", udp4(mine, "10.0.0.5", 1000, 53), true},
		{"second own IPv4", udp4(mine, "10.0.0.6", 1000, 53), true},
		{"foreign IPv4", udp4(mine, "10.0.0.7", 1000, 53), false},
		{"foreign MAC", udp4(theirs, "10.0.0.5", 1000, 53), false},
		{"DHCP client", dhcp("0.0.0.0", mine), true},
		{"DHCP client renewing", dhcp("10.0.0.5", mine), true},
		{"DHCP client in another's name", dhcp("0.0.0.0", theirs), false},
		{"DHCP client renewing another's lease", dhcp("10.0.0.5", theirs), false},
		{"DHCP message that is cut off", udp4(mine, "10.0.0.5", 68, 67), false},
		{"no address, not DHCP", udp4(mine, "0.0.0.0", 1000, 53), false},
		{"DHCP server", udp4(mine, "10.0.0.5", 67, 68), false},
		{"own ARP", arp(mine, mine, "10.0.0.5"), true},
		{"ARP probe", arp(mine, mine, "0.0.0.0"), true},
		{"ARP for a foreign address", arp(mine, mine, "10.0.0.1"), false},
		{"ARP for a foreign MAC", arp(mine, theirs, "10.0.0.5"), false},
		{"link-local IPv6", udp6(local, "1000"), true},
		{"own IPv6", udp6("2001:db8::5", "1000"), true},
		{"foreign IPv6", udp6(foreign6, "1000"), false},
		{"foreign link-local", udp6("fe80::1", "1000"), false},
		{"DHCPv6 server", udp6(local, "0223"), false},
		{"router advertisement", icmp6(local, "86", local), false},
		{"redirect", icmp6(local, "89", local), false},
		{"solicitation", icmp6(local, "87", foreign6), true},
		{"duplicate address detection", icmp6("::", "87", local), true},
		{"detection of another's duplicate", icmp6("::", "87", foreign6), false},
		{"search for a router", icmp6("::", "85", local), true},
		{"joining a group", icmp6("::", "8f", local), true},
		{"echo without an address", icmp6("::", "80", local), false},
		{"advertisement behind options", behind6(local, "00", "3a000104 00000000", "86000000 00000000"), false},
		{"advertisement behind a destination option", behind6(local, "3c", "3a000104 00000000", "86000000 00000000"), false},
		{"advertisement in a first fragment", behind6(local, "2c", "3a000001 00000001", "86000000 00000000"), false},
		{"neighbor advertisement in a first fragment", behind6(local, "2c", "3a000001 00000001", "88000000 00000000", hexAddr(local)), false},
		{"solicitation in an only fragment", behind6(local, "2c", "3a000000 00000001", "87000000 00000000", hexAddr(local)), false},
		{"first fragment that hides what it is", behind6(local, "2c", "3c000001 00000001", "3a010104 00000000"), false},
		{"later fragment of that", behind6(local, "2c", "3c000008 00000001", "00000000 00000000"), false},
		{"large echo, first fragment", behind6(local, "2c", "3a000001 00000001", "80000000 00000000"), true},
		{"large echo, later fragment", behind6(local, "2c", "3a000008 00000001", "86000000 00000000"), true},
		{"UDP in fragments", behind6(local, "2c", "11000001 00000001", "10000035 00080000"), true},
		{"UDP in fragments, foreign address", behind6(foreign6, "2c", "11000001 00000001", "10000035 00080000"), false},
		{"DHCPv6 server in fragments", behind6(local, "2c", "11000001 00000001", "02230222 00080000"), false},
		{"unspecified, not ICMPv6", udp6("::", "1000"), false},
		{"advertisement", icmp6(local, "88", "2001:db8::5"), true},
		{"foreign advertisement", icmp6(local, "88", foreign6), false},
		{"advertisement from a foreign address", icmp6(foreign6, "88", local), false},
		{"VLAN", frame(everyone, mine, "8100 0005 0800", "45"), false},
		{"LLDP", frame("0180c200000e", mine, "88cc", "02"), false},
		{"spanning tree", frame("0180c2000000", mine, "0026 424203"), false},
	}
	marker := udp4(mine, "10.0.0.5", 1, 1)
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			from.send(tc.frame)
			from.send(marker)
			if got := to.hears(tc.frame, marker); got != tc.want {
				t.Errorf("passed: %v, want %v", got, tc.want)
			}
		})
	}
	countsDrops(t, l)
}

// TestNobodyIsHeardForAnother: frames to a bridge's group addresses pass no
// filter. They must not move another port's address to the sender's port.
func TestNobodyIsHeardForAnother(t *testing.T) {
	l := newLab(t, "learn")
	network := cloud.NetworkID(cloud.NewUUID())
	thief := port(network, "compute:nova", "fa:16:3e:00:00:01", "10.0.0.5/24")
	victim := port(network, "compute:nova", "fa:16:3e:00:00:99", "10.0.0.6/24")
	router := port(network, cloud.OwnerRouterInterface, "fa:16:3e:00:00:02", "10.0.0.1/24")
	a, b, c := l.namespace("a"), l.namespace("b"), l.namespace("c")
	l.must(l.f.Plug(Plug{Port: router, MTU: 1450, Target: c, Name: PortLink(router)}))
	l.must(l.f.Plug(Plug{Port: victim, MTU: 1450, Target: b, Name: "eth0"}))
	l.must(l.f.Plug(Plug{Port: thief, MTU: 1450, Target: a, Name: "eth0"}))
	l.must(l.f.Plug(Plug{Port: thief, MTU: 1450, Target: a, Name: "eth0"})) // repaired: the same
	from, to, sender := openWire(t, a, "eth0"), openWire(t, b, "eth0"), openWire(t, c, PortLink(router))
	waitForward(t, from, to)

	for _, group := range []string{"0180c200000e", "0180c2000000", "0180c2000003"} {
		from.send(frame(group, theirs, "88cc", "02"))
	}
	secret := frame(theirs, "fa163e000002", "88b5", "5ec4e7")
	marker := frame(everyone, "fa163e000002", "88b5", "00")
	sender.send(secret)
	sender.send(marker)
	if from.hears(secret, marker) {
		t.Error("a frame for another port came to the thief")
	}
	if !to.hears(secret, marker) {
		t.Error("the frame did not come to its own port")
	}
	stranger := frame("fa163e000077", "fa163e000002", "88b5", "77")
	sender.send(stranger)
	sender.send(marker)
	if from.hears(stranger, marker) {
		t.Error("a frame for nobody was sent to an instance")
	}
}

// countsDrops checks that what was dropped is visible.
func countsDrops(t *testing.T, l *lab) {
	ns, err := netns.Open(l.f.Namespace())
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	table, err := nft.Read(ns, nft.Bridge, l.f.Table())
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := table.Count("foreign MAC"); !ok || n.Packets != 1 {
		t.Errorf("foreign MAC counted %+v, %v", n, ok)
	}
}

// waitForward waits until the new bridge forwards.
func waitForward(t *testing.T, from, to wire) {
	t.Helper()
	buf, marker := make([]byte, 2048), udp4(mine, "10.0.0.5", 9, 9)
	timeout := unix.NsecToTimeval(int64(50 * time.Millisecond))
	if err := unix.SetsockoptTimeval(to.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		t.Fatal(err)
	}
	defer func() {
		timeout := unix.NsecToTimeval(int64(10 * time.Second))
		unix.SetsockoptTimeval(to.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout)
	}()
	for range 200 {
		from.send(marker)
		if n, err := unix.Read(to.fd, buf); err == nil && bytes.Equal(buf[:n], marker) {
			return
		}
	}
	t.Fatal("the bridge does not forward")
}

func TestPortsDoNotReachTheHost(t *testing.T) {
	l := newLab(t, "host")
	vm := port(cloud.NetworkID(cloud.NewUUID()), "compute:nova", "fa:16:3e:00:00:01", "10.0.0.5/24")
	a := l.namespace("a")
	l.must(l.f.Plug(Plug{Port: vm, MTU: 1450, Target: a, Name: "eth0"}))
	fabric := l.state(l.f.Namespace())
	for _, bad := range []string{`"family"`, " dev "} { // an address, a route
		if strings.Contains(fabric, bad) {
			t.Errorf("the fabric holds %q:\n%s", bad, fabric)
		}
	}
	out, err := netns.Current()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if n, err := openLink(out, tapName(vm.ID)); err == nil {
		t.Errorf("the host sees the tap as link %d", n)
	}
}

func openLink(ns *netns.NS, name string) (int, error) {
	h, err := netdev.Open(ns)
	if err != nil {
		return 0, err
	}
	defer h.Close()
	l, err := h.Link(name)
	return l.Index, err
}
