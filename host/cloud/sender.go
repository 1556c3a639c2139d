package cloud

import (
	"net"
	"net/netip"
)

// Sender is what a namespace proxy says of who sent a metadata request: one
// router or network that it came through, and its address there.
type Sender struct {
	Router  RouterID   // "" for the DHCP way
	Network NetworkID  // "" for the router way
	Addr    netip.Addr // neither IPv4-mapped nor zoned
}

// LinkLocal reports whether the sender is known by its hardware address only.
func (s Sender) LinkLocal() bool { return s.Addr.Is6() && s.Addr.IsLinkLocalUnicast() }

// MAC returns the hardware address that a link-local address was formed of;
// the bit for "universal" is inverted there. RFC 4291 2.5.1 and appendix A.
func (s Sender) MAC() (MAC, bool) {
	if !s.LinkLocal() {
		return "", false
	}
	b := s.Addr.As16()
	if b[11] != 0xff || b[12] != 0xfe || [6]byte(b[2:8]) != [6]byte{} {
		return "", false
	}
	mac := net.HardwareAddr{b[8] ^ 2, b[9], b[10], b[13], b[14], b[15]}
	return MAC(mac.String()), true
}

// Place names the router or network, for logs and as a key.
func (s Sender) Place() string { return string(s.Router) + string(s.Network) }
