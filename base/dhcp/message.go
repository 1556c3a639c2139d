package dhcp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// header is the fixed part of a reply with its magic cookie. RFC 2131 table 3.
func (x *exchange) header(kind EventKind) []byte {
	h := make([]byte, 236, 300)
	h[0], h[1], h[2] = 2, 1, 6
	copy(h[4:8], x.req.TransactionID[:])
	binary.BigEndian.PutUint16(h[10:], x.req.Flags)
	if kind != Refused {
		copy(h[12:16], x.req.ClientIPAddr.To4())
		copy(h[20:24], x.sub.Server.AsSlice())
	}
	if kind == Offered || kind == Acked {
		copy(h[16:20], x.host.Addr.AsSlice())
	}
	copy(h[28:34], x.mac[:])
	if kind != Refused {
		x.boot(h)
	}
	return append(h, 99, 130, 83, 99)
}

// boot fills in the header's own fields for what a client boots from: next
// server, and file and server name for a client that does not ask for them as
// options. dnsmasq 2.90: rfc2131.c, do_options
func (x *exchange) boot(h []byte) {
	asked := newOptions(x.req).asked
	for _, e := range x.extra() {
		switch {
		case len(e.Value) == 0:
		case e.Code == OptionNextServer && len(e.Value) == 4:
			copy(h[20:24], e.Value)
		case e.Code == 66 && !asked[66] && len(e.Value) < 64:
			copy(h[44:108], e.Value)
		case e.Code == 67 && !asked[67] && len(e.Value) < 128:
			copy(h[108:236], e.Value)
		}
	}
}

// extra are the host's own options as this client is to have them.
func (x *exchange) extra() []Option {
	ipxe := x.req.Options.Has(optionIPXE)
	var list []Option
	for _, o := range x.host.Options {
		if o.IPXE == "" || (o.IPXE == "ipxe") == ipxe {
			list = append(list, o)
		}
	}
	return list
}

// putExtra writes the host's options, the last first: that is the order that
// dnsmasq makes of the file that Neutron writes. What a host has the network
// does not give it too, even if the host's is empty.
func (x *exchange) putExtra(o *options) {
	extra := x.extra()
	for _, e := range slices.Backward(extra) {
		if e.Code > 254 {
			continue
		}
		code, value := dhcpv4.GenericOptionCode(e.Code), e.Value
		if (code == 66 || code == 67) && len(value) > 0 {
			value = append(slices.Clone(value), 0) // as dnsmasq does, for ROMs that need it
		}
		o.put(code, value)
		o.settle(code)
	}
}

// grant writes the options of an OFFER or ACK in dnsmasq's order (rfc2131.c,
// do_options): lease and timers, mask and broadcast for everybody, the server
// itself as name server, names, then what Neutron configured, and the MTU by
// force. An INFORM is told no times (RFC 2131 4.3.5).
func (x *exchange) grant(o *options, mt dhcpv4.MessageType, kind EventKind) {
	s := x.sub
	o.force(dhcpv4.OptionDHCPMessageType, []byte{byte(mt)})
	o.force(dhcpv4.OptionServerIdentifier, s.Server.AsSlice())
	if kind != Informed {
		x.times(o)
	}
	o.force(dhcpv4.OptionSubnetMask, net.CIDRMask(s.Prefix.Bits(), 32))
	o.force(dhcpv4.OptionBroadcastAddress, lastAddr(s.Prefix))
	own := slices.Equal(s.DNS, []netip.Addr{s.Server})
	if own && !x.has(dhcpv4.OptionDomainNameServer) {
		o.put(dhcpv4.OptionDomainNameServer, addresses(s.DNS))
	}
	if !x.has(dhcpv4.OptionDomainName) {
		o.put(dhcpv4.OptionDomainName, []byte(x.net.Domain))
	}
	o.put(dhcpv4.OptionHostName, []byte(x.host.name()))
	x.putExtra(o)
	if s.Gateway.IsValid() {
		o.put(dhcpv4.OptionRouter, s.Gateway.AsSlice())
	}
	routes := encodeRoutes(s.routes())
	o.put(optionMSRoutes, routes)
	o.put(dhcpv4.OptionClasslessStaticRoute, routes)
	if !own {
		o.put(dhcpv4.OptionDomainNameServer, addresses(s.DNS))
	}
	if x.net.MTU > 0 {
		o.force(dhcpv4.OptionInterfaceMTU, binary.BigEndian.AppendUint16(nil, x.net.MTU))
	}
	x.clientID(o)
}

// times are lease time, T1 and T2; a lease for ever has neither.
func (x *exchange) times(o *options) {
	lease := x.net.lease()
	o.force(dhcpv4.OptionIPAddressLeaseTime, seconds(lease))
	if lease < Forever {
		o.force(dhcpv4.OptionRenewTimeValue, seconds(lease/2))
		o.force(dhcpv4.OptionRebindingTimeValue, seconds(lease/8*7))
	}
}

// has reports whether the host has an option of its own of this code.
func (x *exchange) has(code dhcpv4.OptionCode) bool {
	return slices.ContainsFunc(x.extra(), func(e Option) bool { return e.Code == uint16(code.Code()) })
}

// refusal writes a NAK's options; a NAK may carry nothing more (RFC 2131 table 3).
func (x *exchange) refusal(o *options) {
	o.force(dhcpv4.OptionDHCPMessageType, []byte{byte(dhcpv4.MessageTypeNak)})
	o.force(dhcpv4.OptionServerIdentifier, x.sub.Server.AsSlice())
	o.force(dhcpv4.OptionMessage, []byte("wrong address"))
	x.clientID(o)
}

// clientID returns the client's own identifier to it. RFC 6842 3.
func (x *exchange) clientID(o *options) {
	o.force(dhcpv4.OptionClientIdentifier, x.req.Options.Get(dhcpv4.OptionClientIdentifier))
}

func seconds(d time.Duration) []byte {
	return binary.BigEndian.AppendUint32(nil, uint32(d/time.Second))
}

func addresses(list []netip.Addr) []byte {
	var b []byte
	for _, a := range list {
		b = append(b, a.AsSlice()...)
	}
	return b
}

func lastAddr(p netip.Prefix) []byte {
	b := p.Masked().Addr().As4()
	for i, m := range net.CIDRMask(p.Bits(), 32) {
		b[i] |= ^m
	}
	return b[:]
}

// encodeRoutes is the wire form of options 121 and 249: prefix length, the
// octets of the network that matter, gateway. RFC 3442.
func encodeRoutes(routes []Route) []byte {
	var b []byte
	for _, r := range routes {
		n := r.To.Masked().Addr().As4()
		b = append(b, byte(r.To.Bits()))
		b = append(b, n[:(r.To.Bits()+7)/8]...)
		b = append(b, r.Via.AsSlice()...)
	}
	return b
}

// address turns the library's form into ours; zero and IPv6 are no address.
func address(ip net.IP) (netip.Addr, bool) {
	a, ok := netip.AddrFromSlice(ip.To4())
	if !ok || a.IsUnspecified() {
		return netip.Addr{}, false
	}
	return a, true
}
