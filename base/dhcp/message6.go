package dhcp

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// Types of DHCPv6 messages. RFC 8415 7.3
const (
	solicit6   = 1
	advertise6 = 2
	request6   = 3
	confirm6   = 4
	renew6     = 5
	rebind6    = 6
	reply6     = 7
	release6   = 8
	decline6   = 9
	inform6    = 11
)

// Options of DHCPv6. RFC 8415 21, RFC 3646, RFC 4704
const (
	clientID6    = 1
	serverID6    = 2
	iaNA6        = 3
	iaTA6        = 4
	iaAddr6      = 5
	asked6       = 6
	status6      = 13
	rapidCommit6 = 14
	iaPD6        = 25
	dns6         = 23
	search6      = 24
	fqdn6        = 39
)

// Status codes of DHCPv6. RFC 8415 21.13
const (
	success6       = 0
	noAddrsAvail6  = 2
	notOnLink6     = 4
	noPrefixAvail6 = 6
)

// option6 is an option as it stands in a message.
type option6 struct {
	code  uint16
	value []byte
}

// maxOptions6 bounds what is read of one message.
const maxOptions6 = 64

// parse6 reads a row of options; what they hold is not looked at. More than
// there is room for, or one that is cut off, makes the whole wrong.
func parse6(b []byte) (list []option6, ok bool) {
	for len(b) > 0 {
		if len(b) < 4 || len(list) == maxOptions6 {
			return nil, false
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		if len(b) < 4+n {
			return nil, false
		}
		list = append(list, option6{binary.BigEndian.Uint16(b), b[4 : 4+n]})
		b = b[4+n:]
	}
	return list, true
}

func find6(list []option6, code uint16) ([]byte, bool) {
	i := slices.IndexFunc(list, func(o option6) bool { return o.code == code })
	if i < 0 {
		return nil, false
	}
	return list[i].value, true
}

func append6(b []byte, code uint16, value ...byte) []byte {
	b = binary.BigEndian.AppendUint16(b, code)
	b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...)
}

func statusOption(code uint16) []byte {
	return append6(nil, status6, binary.BigEndian.AppendUint16(nil, code)...)
}

// ia is an identity association for addresses. RFC 8415 21.4
type ia struct {
	id    [4]byte
	addrs []netip.Addr
}

func parseIA(b []byte) (ia, bool) {
	if len(b) < 12 {
		return ia{}, false
	}
	a := ia{id: [4]byte(b)}
	inner, ok := parse6(b[12:])
	for _, o := range inner {
		if o.code == iaAddr6 && len(o.value) >= 24 {
			a.addrs = append(a.addrs, netip.AddrFrom16([16]byte(o.value)))
		}
	}
	return a, ok
}

// iaOption writes an association with its addresses; gone are addresses that
// the client has to give up.
func iaOption(id [4]byte, lease uint32, addrs, gone []netip.Addr) []byte {
	t1, t2 := lease/2, lease/8*7
	if lease == 0xffffffff {
		t1, t2 = lease, lease
	}
	v := append([]byte(nil), id[:]...)
	v = binary.BigEndian.AppendUint32(v, t1)
	v = binary.BigEndian.AppendUint32(v, t2)
	put := func(a netip.Addr, life uint32) {
		w := a.AsSlice()
		w = binary.BigEndian.AppendUint32(w, life)
		v = append6(v, iaAddr6, binary.BigEndian.AppendUint32(w, life)...)
	}
	for _, a := range addrs {
		put(a, lease)
	}
	for _, a := range gone {
		put(a, 0)
	}
	if len(addrs) == 0 {
		v = append(v, statusOption(noAddrsAvail6)...)
	}
	return append6(nil, iaNA6, v...)
}
