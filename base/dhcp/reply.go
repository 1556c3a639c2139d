package dhcp

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Ports of RFC 2131 4.1.
const (
	serverPort = 67
	clientPort = 68
)

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// Reply decides what to answer to one packet of a client. All results are zero
// for a packet that is none of this server's business: an unknown client,
// another server's, a relay's, a reply. An error means that the packet is
// malformed, or that the network has no subnet for the client's address.
//
// A reply goes to the broadcast address, unless the client already uses the
// address that it has here. RELEASE and DECLINE have an event and no reply.
// They change nothing: addresses belong to ports, not to leases.
func (n *Network) Reply(packet []byte, now time.Time) (reply []byte, dst netip.AddrPort, ev *Event, err error) {
	mac, ok := clientMAC(packet)
	if !ok {
		return nil, dst, nil, nil
	}
	host, ok := n.Hosts[mac]
	if !ok {
		return nil, dst, nil, nil
	}
	req, err := dhcpv4.FromBytes(packet)
	if err != nil {
		return nil, dst, nil, fmt.Errorf("dhcp packet of %s: %w", mac, err)
	}
	requested, _ := address(req.RequestedIPAddress())
	using, _ := address(req.ClientIPAddr)
	host = host.settled(requested, using)
	sub, ok := n.subnet(host.Addr)
	if !ok {
		return nil, dst, nil, fmt.Errorf("dhcp client %s: no subnet holds %s", mac, host.Addr)
	}
	x := exchange{net: n, sub: sub, host: host, mac: mac, req: req, now: now}
	reply, dst, ev = x.answer()
	return reply, dst, ev, nil
}

// clientMAC reads the fixed header (RFC 2131 2) and lets pass only a request
// from an Ethernet client on this very link. It is all the work that a packet
// from an unknown client causes.
func clientMAC(p []byte) (MAC, bool) {
	const fixed = 240
	if len(p) < fixed || len(p) > maxPacket {
		return MAC{}, false
	}
	request := p[0] == 1 && p[1] == 1 && p[2] == 6
	cookie := [4]byte(p[236:240]) == [4]byte{99, 130, 83, 99}
	relayed := [4]byte(p[24:28]) != [4]byte{}
	return MAC(p[28:34]), request && cookie && !relayed
}

// exchange is one request of a known client.
type exchange struct {
	net  *Network
	sub  *Subnet
	host Host
	mac  MAC
	req  *dhcpv4.DHCPv4
	now  time.Time
}

func (x *exchange) answer() ([]byte, netip.AddrPort, *Event) {
	if id, ok := address(x.req.ServerIdentifier()); ok && id != x.sub.Server {
		return nil, netip.AddrPort{}, nil
	}
	requested, _ := address(x.req.RequestedIPAddress())
	using, _ := address(x.req.ClientIPAddr)
	switch x.req.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		return x.send(dhcpv4.MessageTypeOffer, Offered, broadcast)
	case dhcpv4.MessageTypeRequest:
		return x.request(requested, using)
	case dhcpv4.MessageTypeInform:
		if using == x.host.Addr {
			return x.send(dhcpv4.MessageTypeAck, Informed, using)
		}
	case dhcpv4.MessageTypeRelease:
		if using == x.host.Addr {
			return nil, netip.AddrPort{}, x.event(Released)
		}
	case dhcpv4.MessageTypeDecline:
		if requested == x.host.Addr {
			return nil, netip.AddrPort{}, x.event(Declined)
		}
	}
	return nil, netip.AddrPort{}, nil
}

// request tells the four kinds of REQUEST apart (RFC 2131 4.3.2): with ciaddr
// it renews or rebinds, else it selects our offer or verifies after a reboot.
func (x *exchange) request(requested, using netip.Addr) ([]byte, netip.AddrPort, *Event) {
	want, to := requested, broadcast
	if using.IsValid() {
		want, to = using, using
	}
	if !want.IsValid() {
		return nil, netip.AddrPort{}, nil
	}
	if want != x.host.Addr {
		reply, dst, ev := x.send(dhcpv4.MessageTypeNak, Refused, broadcast)
		ev.Asked = want
		return reply, dst, ev
	}
	return x.send(dhcpv4.MessageTypeAck, Acked, to)
}

func (x *exchange) event(kind EventKind) *Event {
	ev := &Event{Kind: kind, MAC: x.mac, Addr: x.host.Addr, Name: x.host.name(), Time: x.now}
	if kind == Acked && x.net.lease() < Forever {
		ev.Expires = x.now.Add(x.net.lease())
	}
	return ev
}

func (x *exchange) send(mt dhcpv4.MessageType, kind EventKind, to netip.Addr) ([]byte, netip.AddrPort, *Event) {
	ev := x.event(kind)
	o := newOptions(x.req)
	switch kind {
	case Refused:
		x.refusal(o)
	default:
		x.grant(o, mt, kind)
	}
	ev.Omitted = o.omitted
	return append(x.header(kind), o.bytes()...), netip.AddrPortFrom(to, clientPort), ev
}
