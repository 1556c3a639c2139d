package dhcp

import "github.com/insomniacslk/dhcp/dhcpv4"

// optionMSRoutes is Microsoft's twin of option 121 with the same contents.
const optionMSRoutes = dhcpv4.GenericOptionCode(249)

// optionIPXE is sent by iPXE alone. dnsmasq is told so by Neutron:
// --dhcp-match=set:ipxe,175
const optionIPXE = dhcpv4.GenericOptionCode(175)

const (
	// maxPacket is the longest packet that is read or written: what an
	// Ethernet frame carries after IP and UDP headers.
	maxPacket = 1500 - 28
	// minPacket is the least length that is sent: BOOTP's 300 bytes, which some
	// peers insist on. RFC 1542 2.1.
	minPacket = 300
	// leastMax is what every client accepts. RFC 2132 9.10.
	leastMax = 576 - 28
)

// options collects a reply's options in the order in which they are put. The
// library writes them sorted by number, dnsmasq does not, and some clients are
// known to care.
type options struct {
	b       []byte
	room    int
	asked   map[uint8]bool
	done    map[uint8]bool
	omitted []uint8
}

// newOptions takes from the request what the client asks for and how much it
// can take.
func newOptions(req *dhcpv4.DHCPv4) *options {
	limit := leastMax
	if size, err := req.MaxMessageSize(); err == nil {
		limit = min(max(int(size)-28, leastMax), maxPacket)
	}
	o := &options{room: limit - 240 - 1, done: map[uint8]bool{}}
	if codes := req.ParameterRequestList(); len(codes) > 0 {
		o.asked = make(map[uint8]bool, len(codes))
		for _, c := range codes {
			o.asked[c.Code()] = true
		}
	}
	return o
}

// put adds an option if the client asked for it; a client that names nothing
// is told everything, as dnsmasq does (rfc2131.c, in_list).
func (o *options) put(code dhcpv4.OptionCode, value []byte) {
	if o.wants(code) {
		o.force(code, value)
	}
}

func (o *options) wants(code dhcpv4.OptionCode) bool { return o.asked == nil || o.asked[code.Code()] }

// settle leaves an option out from now on: it is decided already.
func (o *options) settle(code dhcpv4.OptionCode) { o.done[code.Code()] = true }

// force adds an option, once; an empty value adds nothing. A value longer than
// 255 bytes is split (RFC 3396). One that does not fit is left out and
// remembered.
func (o *options) force(code dhcpv4.OptionCode, value []byte) {
	if len(value) == 0 || o.done[code.Code()] {
		return
	}
	o.settle(code)
	parts := (len(value) + 254) / 255
	if len(value)+2*parts > o.room-len(o.b) {
		o.omitted = append(o.omitted, code.Code())
		return
	}
	for len(value) > 0 {
		n := min(len(value), 255)
		o.b = append(o.b, code.Code(), byte(n))
		o.b = append(o.b, value[:n]...)
		value = value[n:]
	}
}

// bytes ends the options and pads the packet that they will be part of.
func (o *options) bytes() []byte {
	b := append(o.b, 255)
	for len(b) < minPacket-240 {
		b = append(b, 0)
	}
	return b
}
