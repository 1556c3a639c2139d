package nft

import (
	"net"
	"net/netip"
	"strings"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Part is a match or a statement of a rule. Matches of a header's field also
// match the protocol that has such a header.
type Part []expr.Any

// InName matches the interface that a packet came in by; a trailing * stands
// for any rest.
func InName(name string) Part { return link(expr.MetaKeyIIFNAME, name) }

// InNameNot matches packets that came in by any other interface, or by none.
func InNameNot(name string) Part { return not(InName(name)) }

// OutName matches the interface that a packet leaves by; see [InName].
func OutName(name string) Part { return link(expr.MetaKeyOIFNAME, name) }

// OutNameNot matches packets that leave by any other interface.
func OutNameNot(name string) Part { return not(OutName(name)) }

func not(p Part) Part {
	p[len(p)-1].(*expr.Cmp).Op = expr.CmpOpNeq
	return p
}

// InGroup matches the group of that interface.
func InGroup(group uint32) Part {
	return meta(expr.MetaKeyIIFGROUP, binaryutil.NativeEndian.PutUint32(group))
}

func link(key expr.MetaKey, name string) Part {
	data, wild := []byte(name), strings.HasSuffix(name, "*")
	if wild {
		return meta(key, data[:len(data)-1])
	}
	return meta(key, append(data, make([]byte, unix.IFNAMSIZ-len(data))...))
}

func meta(key expr.MetaKey, value []byte) Part {
	return Part{&expr.Meta{Key: key, Register: 1}, equal(value)}
}

func equal(value []byte) *expr.Cmp { return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: value} }

func payload(base expr.PayloadBase, offset uint32, op expr.CmpOp, value []byte) Part {
	return Part{
		&expr.Payload{DestRegister: 1, Base: base, Offset: offset, Len: uint32(len(value))},
		&expr.Cmp{Op: op, Register: 1, Data: value},
	}
}

// Ethernet frame types. linux/if_ether.h
const (
	EtherIPv4 uint16 = 0x0800
	EtherARP  uint16 = 0x0806
	EtherIPv6 uint16 = 0x86dd
)

// EtherType matches the type of a frame; in family [Bridge].
func EtherType(t uint16) Part {
	return payload(expr.PayloadBaseLLHeader, 12, expr.CmpOpEq, binaryutil.BigEndian.PutUint16(t))
}

// EtherSourceNot matches frames from any other MAC; in family [Bridge].
func EtherSourceNot(mac net.HardwareAddr) Part {
	return payload(expr.PayloadBaseLLHeader, 6, expr.CmpOpNeq, mac)
}

// ARPSender matches the sender's two addresses inside an ARP packet for IPv4
// over Ethernet; after [EtherType] ARP. RFC 826
func ARPSender(mac net.HardwareAddr, addr netip.Addr) Part {
	const htype, ptype, hlenPlen = "\x00\x01", "\x08\x00", "\x06\x04"
	p := payload(expr.PayloadBaseNetworkHeader, 0, expr.CmpOpEq, []byte(htype+ptype+hlenPlen))
	p = append(p, payload(expr.PayloadBaseNetworkHeader, 8, expr.CmpOpEq, mac)...)
	return append(p, payload(expr.PayloadBaseNetworkHeader, 14, expr.CmpOpEq, addr.AsSlice())...)
}

// Source matches the packet's sender. In families Inet and Bridge it goes
// after [Protocol4] or [EtherType] for its kind of address.
func Source(a netip.Addr) Part {
	if a.Is4() {
		return payload(expr.PayloadBaseNetworkHeader, 12, expr.CmpOpEq, a.AsSlice())
	}
	return payload(expr.PayloadBaseNetworkHeader, 8, expr.CmpOpEq, a.AsSlice())
}

// Dest matches the packet's destination; see [Source].
func Dest(a netip.Addr) Part {
	if a.Is4() {
		return payload(expr.PayloadBaseNetworkHeader, 16, expr.CmpOpEq, a.AsSlice())
	}
	return payload(expr.PayloadBaseNetworkHeader, 24, expr.CmpOpEq, a.AsSlice())
}

// Protocol4 matches IPv4 packets; in family [Inet].
func Protocol4() Part { return meta(expr.MetaKeyNFPROTO, []byte{unix.NFPROTO_IPV4}) }

// Protocol6 matches IPv6 packets; in family [Inet].
func Protocol6() Part { return meta(expr.MetaKeyNFPROTO, []byte{unix.NFPROTO_IPV6}) }
