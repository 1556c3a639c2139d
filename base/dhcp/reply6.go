package dhcp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// maxReply6 bounds a reply, in bytes: what every IPv6 link carries at once.
const maxReply6 = 1280 - 40 - 8

// Reply decides what to answer to one packet that a client sent from the
// link-local address from. The client is known by the MAC in that address, and
// by nothing that it says of itself: whoever serves an instance's port lets no
// other link-local address pass. Like [Network.Reply] all results are zero for
// what is none of this server's business. RFC 8415 18.3
func (n *Network6) Reply(packet []byte, from netip.Addr, now time.Time) (reply []byte, ev *Event, err error) {
	mac, ok := macOf(from)
	if !ok || len(packet) < 4 || len(packet) > maxPacket {
		return nil, nil, nil
	}
	host, ok := n.Hosts[mac]
	if !ok || len(n.subnets(host)) == 0 {
		return nil, nil, nil
	}
	options, ok := parse6(packet[4:])
	if !ok {
		return nil, nil, fmt.Errorf("dhcpv6 packet of %s: its options are malformed", mac)
	}
	x := exchange6{net: n, host: host, mac: mac, kind: packet[0], tid: [3]byte(packet[1:]), options: options, now: now}
	if !x.meant() {
		return nil, nil, nil
	}
	return x.answer()
}

// exchange6 is one message of a known client.
type exchange6 struct {
	net     *Network6
	host    Host6
	mac     MAC
	kind    byte
	tid     [3]byte
	options []option6
	now     time.Time
	omitted []uint8
}

// meant reports whether the message has the identifiers that its kind must
// have, and this server's where it has one. RFC 8415 16
func (x *exchange6) meant() bool {
	server, named := find6(x.options, serverID6)
	client, known := find6(x.options, clientID6)
	known = known && len(client) > 2 && len(client) <= 130
	ours := named && bytes.Equal(server, x.net.ServerID)
	switch x.kind {
	case solicit6, confirm6, rebind6:
		return known && !named
	case request6, renew6, release6, decline6:
		return known && ours
	case inform6:
		_, ia := find6(x.options, iaNA6)
		return !ia && (ours || !named)
	}
	return false
}

func (x *exchange6) answer() ([]byte, *Event, error) {
	_, rapid := find6(x.options, rapidCommit6)
	switch x.kind {
	case solicit6:
		if rapid {
			return x.grant(reply6, Acked, append6(nil, rapidCommit6))
		}
		return x.grant(advertise6, Offered, nil)
	case request6, renew6, rebind6:
		return x.grant(reply6, Acked, nil)
	case confirm6:
		return x.confirm()
	case inform6:
		return x.finish(append(x.header(reply6), x.told()...), Informed)
	case release6:
		return x.finish(append(x.header(reply6), statusOption(success6)...), Released)
	default:
		return x.finish(append(x.header(reply6), statusOption(success6)...), Declined)
	}
}

// header begins a message: its kind and both identifiers. RFC 8415 18.3
func (x *exchange6) header(kind byte) []byte {
	b := append([]byte{kind}, x.tid[:]...)
	if id, ok := find6(x.options, clientID6); ok {
		b = append6(b, clientID6, id...)
	}
	return append6(b, serverID6, x.net.ServerID...)
}

// grant answers with the client's addresses, all in its first association, and
// what else it is told.
func (x *exchange6) grant(kind byte, event EventKind, more []byte) ([]byte, *Event, error) {
	b := append(x.header(kind), more...)
	left := x.net.leased(x.host)
	for _, o := range x.options {
		switch o.code {
		case iaNA6:
			a, ok := parseIA(o.value)
			if !ok {
				return nil, nil, fmt.Errorf("dhcpv6 packet of %s: an association is malformed", x.mac)
			}
			var gone []netip.Addr
			if x.kind == renew6 || x.kind == rebind6 {
				gone = slices.DeleteFunc(a.addrs, func(a netip.Addr) bool { return slices.Contains(left, a) })
			}
			b = append(b, iaOption(a.id, x.seconds(), left, gone)...)
			left = nil
		case iaTA6:
			b = x.deny(b, o, 4, noAddrsAvail6)
		case iaPD6:
			b = x.deny(b, o, 12, noPrefixAvail6)
		}
	}
	return x.finish(append(b, x.told()...), event)
}

// deny answers an association of a kind that is not given here; its fixed part
// is size bytes.
func (x *exchange6) deny(b []byte, o option6, size int, status uint16) []byte {
	if len(o.value) < size {
		return b
	}
	v := append([]byte(nil), o.value[:4]...)
	v = append(v, make([]byte, size-4)...)
	return append6(b, o.code, append(v, statusOption(status)...)...)
}

// confirm says whether the client is still on the network of its addresses.
// RFC 8415 18.3.3
func (x *exchange6) confirm() ([]byte, *Event, error) {
	asked, status, event := false, uint16(success6), Acked
	for _, o := range x.options {
		if a, ok := parseIA(o.value); ok && o.code == iaNA6 {
			for _, addr := range a.addrs {
				asked = true
				if !x.net.onLink(addr) {
					status, event = notOnLink6, Refused
				}
			}
		}
	}
	if !asked {
		return nil, nil, nil
	}
	return x.finish(append(x.header(reply6), statusOption(status)...), event)
}

// told are the options that are no addresses: the host's own, name servers,
// the search list, and the client's name where it spoke of that.
func (x *exchange6) told() []byte {
	var b []byte
	done := map[uint16]bool{}
	put := func(code uint16, value []byte) {
		if done[code] || !x.wants(code) {
			return
		}
		done[code] = true
		if len(value) == 0 {
			return
		}
		if len(b)+4+len(value) > maxReply6/2 {
			x.omitted = append(x.omitted, uint8(min(code, 255)))
			return
		}
		b = append6(b, code, value...)
	}
	for _, o := range slices.Backward(x.host.Options) {
		if o.IPXE != "ipxe" {
			put(o.Code, o.Value)
		}
	}
	var servers []netip.Addr
	for _, s := range x.net.subnets(x.host) {
		for _, a := range s.DNS {
			if !slices.Contains(servers, a) {
				servers = append(servers, a)
			}
		}
	}
	put(dns6, addresses(servers))
	if name, ok := encodeName(x.net.Domain); ok {
		put(search6, name)
	}
	if v, ok := find6(x.options, fqdn6); ok && len(v) > 0 {
		put(fqdn6, x.fqdn(v[0]))
	}
	return b
}

// wants reports whether the client asked for an option; one that names nothing
// is told everything, and a name is answered whoever asks.
func (x *exchange6) wants(code uint16) bool {
	asked, named := find6(x.options, asked6)
	if !named || code == fqdn6 {
		return true
	}
	for ; len(asked) >= 2; asked = asked[2:] {
		if binary.BigEndian.Uint16(asked) == code {
			return true
		}
	}
	return false
}

// fqdn is the client's name: the address is in the name server already, so
// nobody has to put it there. RFC 4704 4.1
func (x *exchange6) fqdn(flags byte) []byte {
	const s, o = 1, 2
	name, ok := encodeName(HostName(x.addr()) + "." + x.net.Domain)
	if !ok {
		return nil
	}
	if flags&s != 0 {
		return append([]byte{s}, name...)
	}
	return append([]byte{s | o}, name...)
}

// addr is the client's first address, leased ones first.
func (x *exchange6) addr() netip.Addr {
	return append(x.net.leased(x.host), x.host.Addrs...)[0]
}

func (x *exchange6) seconds() uint32 { return uint32(x.net.lease() / time.Second) }

func (x *exchange6) finish(b []byte, kind EventKind) ([]byte, *Event, error) {
	ev := &Event{Kind: kind, MAC: x.mac, Addr: x.addr(), Name: HostName(x.addr()), Time: x.now, Omitted: x.omitted}
	if kind == Acked && x.net.lease() < Forever {
		ev.Expires = x.now.Add(x.net.lease())
	}
	if len(b) > maxReply6 {
		return nil, ev, fmt.Errorf("dhcpv6 reply to %s would be of %d bytes", x.mac, len(b))
	}
	return b, ev, nil
}
