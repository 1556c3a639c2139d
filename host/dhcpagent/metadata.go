package dhcpagent

import (
	"context"
	"net/netip"
	"os"
	"slices"

	"imprint/base/daemon"
	"imprint/base/netns"
	"imprint/host/cloud"
)

// The metadata addresses as they sit on a DHCP port.
// neutron_lib: constants.METADATA_CIDR, METADATA_V6_CIDR
var (
	metadata4 = netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254, 169, 254}), 32)
	metadata6 = netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 12: 0xa9, 13: 0xfe, 14: 0xa9, 15: 0xfe}), 64)
)

// linkLocal4 holds the networks that Neutron calls metadata networks.
// neutron: agent/linux/dhcp.py METADATA_SUBNET_CIDR
var linkLocal4 = netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254, 0, 0}), 16)

// metadataOn returns the metadata addresses that belong on the network's DHCP
// port. neutron: agent/linux/dhcp.py should_enable_metadata
//
// Unlike Neutron's, they are only where something listens on them; and the IPv6
// one is on every network with IPv6 once either option is on: Neutron has it
// there too, but where a router is nothing listens, and nobody else has it.
func (c Config) metadataOn(n cloud.DesiredNetwork) (on []netip.Prefix) {
	isolated := func(s cloud.DesiredSubnet) bool { return s.CIDR.Addr().Is4() && s.DHCP && !s.Router.IsValid() }
	special := func(s cloud.DesiredSubnet) bool {
		return linkLocal4.Contains(s.CIDR.Addr()) && s.CIDR.Bits() >= linkLocal4.Bits()
	}
	six := func(s cloud.DesiredSubnet) bool { return s.CIDR.Addr().Is6() }
	four := c.ForceMetadata || c.IsolatedMetadata && slices.ContainsFunc(n.Subnets, isolated) ||
		c.IsolatedMetadata && c.MetadataNetwork && slices.ContainsFunc(n.Subnets, special)
	if four {
		on = append(on, metadata4)
	}
	if four || (c.ForceMetadata || c.IsolatedMetadata) && slices.ContainsFunc(n.Subnets, six) {
		on = append(on, metadata6)
	}
	return on
}

// metadataVia is the way to the metadata address: over the DHCP port with
// force_metadata; over the router where there is one, whatever is configured;
// else over the DHCP port, if it has the address at all.
func (c Config) metadataVia(s cloud.DesiredSubnet, server netip.Addr) netip.Addr {
	switch {
	case c.ForceMetadata:
		return server
	case s.Router.IsValid():
		return s.Router
	case c.IsolatedMetadata:
		return server
	}
	return netip.Addr{}
}

// possible leaves out what ns cannot have.
func possible(ns *netns.NS, addrs []netip.Prefix) []netip.Prefix {
	return slices.DeleteFunc(addrs, func(p netip.Prefix) bool { return p.Addr().Is6() && !ns.HasIPv6() })
}

// listenMetadata listens on port 80 of the metadata addresses.
func listenMetadata(ctx context.Context, ns *netns.NS, link string, on []netip.Prefix) (files []*os.File, err error) {
	for _, p := range on {
		addr := p.Addr()
		if addr.Is6() {
			addr = addr.WithZone(link)
		}
		l, err := ns.ListenTCP(ctx, "tcp", netip.AddrPortFrom(addr, 80))
		if err != nil {
			return files, err
		}
		more, err := daemon.Files(l)
		if err != nil {
			return files, err
		}
		files = append(files, more...)
	}
	return files, nil
}
