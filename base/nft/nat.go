package nft

import (
	"net/netip"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// SourceNAT gives packets another source address, with a random port; in a
// [NAT] chain at [Postrouting].
func SourceNAT(to netip.Addr) Part { return translate(expr.NATTypeSourceNAT, to, true) }

// DestNAT gives packets another destination address; in a [NAT] chain at
// [Prerouting].
func DestNAT(to netip.Addr) Part { return translate(expr.NATTypeDestNAT, to, false) }

func translate(kind expr.NATType, to netip.Addr, random bool) Part {
	family := uint32(unix.NFPROTO_IPV4)
	if to.Is6() {
		family = unix.NFPROTO_IPV6
	}
	return Part{
		&expr.Immediate{Register: 1, Data: to.AsSlice()},
		&expr.NAT{Type: kind, Family: family, RegAddrMin: 1, RegAddrMax: 1, FullyRandom: random},
	}
}

// NotRedirected matches packets whose destination no NAT rule rewrote.
func NotRedirected() Part {
	p := Redirected()
	p[len(p)-1].(*expr.Cmp).Op = expr.CmpOpEq
	return p
}

// LaterFragment6 matches fragments of IPv6 packets but the first, which has the
// headers of the upper layers.
func LaterFragment6() Part {
	return Part{
		&expr.Exthdr{DestRegister: 1, Type: unix.IPPROTO_FRAGMENT, Offset: 2, Len: 2, Op: expr.ExthdrOpIpv6},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 2, Mask: []byte{0xff, 0xf8}, Xor: make([]byte, 2)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 2)},
	}
}

// Fragmented6 matches IPv6 packets with a fragment header.
func Fragmented6() Part {
	const present = 1 // NFT_EXTHDR_F_PRESENT
	return Part{
		&expr.Exthdr{DestRegister: 1, Type: unix.IPPROTO_FRAGMENT, Len: 1, Flags: present, Op: expr.ExthdrOpIpv6},
		equal([]byte{1}),
	}
}
