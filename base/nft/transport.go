package nft

import (
	"net"

	"net/netip"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

func l4(proto byte) Part { return meta(expr.MetaKeyL4PROTO, []byte{proto}) }

// TCP matches TCP.
func TCP() Part { return l4(unix.IPPROTO_TCP) }

// UDP matches UDP.
func UDP() Part { return l4(unix.IPPROTO_UDP) }

// ICMP matches ICMP for IPv4.
func ICMP() Part { return l4(unix.IPPROTO_ICMP) }

// ICMPv6 matches ICMP for IPv6.
func ICMPv6() Part { return l4(unix.IPPROTO_ICMPV6) }

// Types of ICMPv6 messages. RFC 4443, RFC 4861 section 4, RFC 2710, RFC 3810
const (
	EchoRequest           byte = 128
	EchoReply             byte = 129
	ListenerReport        byte = 131
	RouterSolicitation    byte = 133
	RouterAdvertisement   byte = 134
	NeighborSolicitation  byte = 135
	NeighborAdvertisement byte = 136
	NeighborRedirect      byte = 137
	ListenerReport2       byte = 143
)

// ICMPv6Type matches ICMPv6 messages of one type.
func ICMPv6Type(t byte) Part {
	return append(ICMPv6(), payload(expr.PayloadBaseTransportHeader, 0, expr.CmpOpEq, []byte{t})...)
}

// NeighborTarget matches the address that a neighbor solicitation or
// advertisement is about; after [ICMPv6Type]. RFC 4861 sections 4.3, 4.4
func NeighborTarget(a netip.Addr) Part {
	return payload(expr.PayloadBaseTransportHeader, 8, expr.CmpOpEq, a.AsSlice())
}

// TCPDest matches TCP to a port.
func TCPDest(port uint16) Part { return ports(unix.IPPROTO_TCP, 2, port) }

// UDPDest matches UDP to a port.
func UDPDest(port uint16) Part { return ports(unix.IPPROTO_UDP, 2, port) }

// UDPSource matches UDP from a port.
func UDPSource(port uint16) Part { return ports(unix.IPPROTO_UDP, 0, port) }

// DHCPClient matches DHCP messages about the client with this MAC: their field
// chaddr, 28 bytes into the message. It goes after [UDPDest]. RFC 2131 section 2
func DHCPClient(mac net.HardwareAddr) Part {
	const udpHeader, chaddr = 8, 28
	return payload(expr.PayloadBaseTransportHeader, udpHeader+chaddr, expr.CmpOpEq, mac)
}

func ports(proto byte, offset uint32, port uint16) Part {
	return append(l4(proto), payload(expr.PayloadBaseTransportHeader, offset, expr.CmpOpEq, binaryutil.BigEndian.PutUint16(port))...)
}

// Bits of a connection's state and status.
// linux/netfilter/nf_conntrack_common.h
const (
	stateEstablished = 1 << 1
	stateRelated     = 1 << 2
	statusDNAT       = 1 << 5
)

// Established matches packets of connections that were let through before,
// and what belongs to them.
func Established() Part { return conntrack(expr.CtKeySTATE, stateEstablished|stateRelated) }

// Redirected matches packets whose destination was rewritten by a NAT rule.
func Redirected() Part { return conntrack(expr.CtKeySTATUS, statusDNAT) }

func conntrack(key expr.CtKey, bits uint32) Part {
	return Part{
		&expr.Ct{Key: key, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

// Counter counts the packets for which everything before it in the rule holds.
func Counter() Part { return Part{&expr.Counter{}} }

// Accept lets the packet through this hook.
func Accept() Part { return Part{&expr.Verdict{Kind: expr.VerdictAccept}} }

// Drop discards the packet.
func Drop() Part { return Part{&expr.Verdict{Kind: expr.VerdictDrop}} }

// Return goes back to the chain that jumped here.
func Return() Part { return Part{&expr.Verdict{Kind: expr.VerdictReturn}} }

// Jump goes on at another chain of the table, and comes back.
func Jump(chain string) Part { return Part{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}} }

// NF_NAT_RANGE_PROTO_SPECIFIED; the kernel sets it wherever there is a port.
const portSpecified = 2

// Redirect sends the packet to a port of this namespace itself; in a [NAT]
// chain, after a match of TCP or UDP.
func Redirect(port uint16) Part {
	return Part{
		&expr.Immediate{Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
		&expr.Redir{RegisterProtoMin: 1, RegisterProtoMax: 1, Flags: portSpecified},
	}
}
