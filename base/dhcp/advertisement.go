package dhcp

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// AdvertisementKey begins the keys under which advertisements are handed to the
// worker that sends them, before the id of the router's port.
const AdvertisementKey = "advertise/"

// Advertisement is what a router says of itself and of one link. RFC 4861 4.2
// It is a plain value and survives JSON.
type Advertisement struct {
	// MAC is the router's on the link; its link-local address is made of it.
	MAC MAC `json:"mac"`
	// MTU of the link; less than 1280 sends none.
	MTU int `json:"mtu,omitempty"`
	// Managed says that there are addresses by DHCPv6, Other that there is the
	// rest.
	Managed  bool               `json:"managed,omitempty"`
	Other    bool               `json:"other,omitempty"`
	Prefixes []AdvertisedPrefix `json:"prefixes,omitempty"`
	// DNS are name servers. RFC 8106
	DNS []netip.Addr `json:"dns,omitempty"`
}

// AdvertisedPrefix is a prefix on the link.
type AdvertisedPrefix struct {
	Prefix netip.Prefix `json:"prefix"`
	// Autonomous says that hosts make their addresses of it (SLAAC).
	Autonomous bool `json:"autonomous,omitempty"`
}

// Times as Neutron has radvd 2.19 use them: min_rtr_adv_interval,
// max_rtr_adv_interval, and radvd's own defaults.
const (
	minInterval       = 30 * time.Second
	maxInterval       = 100 * time.Second
	routerLifetime    = 3 * maxInterval
	validLifetime     = 24 * time.Hour
	preferredLifetime = 4 * time.Hour
)

const (
	typeSolicitation  = 133
	typeAdvertisement = 134
)

// Bytes is the ICMPv6 message with its checksum left out: the kernel fills it
// in.
func (a *Advertisement) Bytes() []byte {
	var flags byte
	if a.Managed {
		flags |= 0x80
	}
	if a.Other {
		flags |= 0x40
	}
	b := []byte{typeAdvertisement, 0, 0, 0, 64, flags}
	b = binary.BigEndian.AppendUint16(b, uint16(routerLifetime/time.Second))
	b = append(b, make([]byte, 8)...) // reachable time and timer: unspecified
	b = append(append(b, 1, 1), a.MAC[:]...)
	if a.MTU >= 1280 {
		b = binary.BigEndian.AppendUint32(append(b, 5, 1, 0, 0), uint32(a.MTU))
	}
	for _, p := range a.Prefixes {
		b = p.append(b)
	}
	if len(a.DNS) > 0 {
		b = append(b, 25, byte(1+2*len(a.DNS)), 0, 0)
		b = binary.BigEndian.AppendUint32(b, uint32(routerLifetime/time.Second))
		b = append(b, addresses(a.DNS)...)
	}
	return b
}

// append writes the prefix information option. RFC 4861 4.6.2
func (p AdvertisedPrefix) append(b []byte) []byte {
	const onLink, autonomous = 0x80, 0x40
	flags := byte(onLink)
	if p.Autonomous {
		flags |= autonomous
	}
	b = append(b, 3, 4, byte(p.Prefix.Bits()), flags)
	b = binary.BigEndian.AppendUint32(b, uint32(validLifetime/time.Second))
	b = binary.BigEndian.AppendUint32(b, uint32(preferredLifetime/time.Second))
	b = append(b, 0, 0, 0, 0)
	return append(b, p.Prefix.Masked().Addr().AsSlice()...)
}

// linkLocal is the router's address on the link.
func (a *Advertisement) linkLocal() netip.Addr {
	m := a.MAC
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
}
