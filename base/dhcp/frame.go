package dhcp

import "encoding/binary"

// frame wraps a client's payload into IPv4 and UDP, from 0.0.0.0:68 to
// 255.255.255.255:67, as an interface without an address must send it.
// RFC 791, RFC 768.
func frame(payload []byte) []byte {
	const ip, udp = 20, 8
	b := make([]byte, ip+udp, ip+udp+len(payload))
	b[0] = 0x45
	binary.BigEndian.PutUint16(b[2:], uint16(ip+udp+len(payload)))
	b[8] = 64 // hops
	b[9] = 17 // UDP
	copy(b[16:20], broadcast.AsSlice())
	binary.BigEndian.PutUint16(b[10:], ^sum(b[:ip], 0))
	binary.BigEndian.PutUint16(b[20:], clientPort)
	binary.BigEndian.PutUint16(b[22:], serverPort)
	length := uint16(udp + len(payload))
	binary.BigEndian.PutUint16(b[24:], length)
	b = append(b, payload...)
	check := ^sum(b[ip:], uint32(sum(b[12:20], 0))+17+uint32(length))
	if check == 0 {
		check = 0xffff
	}
	binary.BigEndian.PutUint16(b[26:], check)
	return b
}

// unframe gives the UDP payload of an IPv4 packet for the client's port. The
// UDP checksum is not looked at: a sender on the same machine leaves it
// unfinished, and what arrives is matched by transaction and address anyway.
func unframe(b []byte) ([]byte, bool) {
	if len(b) < 28 || b[0]>>4 != 4 {
		return nil, false
	}
	ip, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	fragment := binary.BigEndian.Uint16(b[6:])&0x3fff != 0
	if ip < 20 || total > len(b) || total < ip+8 || b[9] != 17 || fragment {
		return nil, false
	}
	udp := b[ip:total]
	length := int(binary.BigEndian.Uint16(udp[4:]))
	if length < 8 || length > len(udp) || binary.BigEndian.Uint16(udp[2:]) != clientPort {
		return nil, false
	}
	return udp[8:length], true
}

// sum is the internet checksum's sum before the final complement. RFC 1071.
func sum(b []byte, start uint32) uint16 {
	s := start
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		s += uint32(b[len(b)-1]) << 8
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
