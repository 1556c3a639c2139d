package openstack

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

const interfacesHead = `# Injected by Nova on instance boot
#
# This file describes the network interfaces available on your system
# and how to activate them. For more information, see interfaces(5).

# The loopback network interface
auto lo
iface lo inet loopback
`

// interfaces returns the network configuration of the ports that take it
// without DHCP, in the form of interfaces(5); nil when there are none. Ports
// are eth0, eth1 … in their order, left-out ones counted.
// nova: virt/netutils.py, get_injected_network_template; virt/interfaces.template.
func interfaces(ports []Port) []byte {
	var b strings.Builder
	number := -1
	for _, p := range ports {
		if len(p.Subnets) == 0 {
			continue
		}
		number++
		v4, v6 := p.first(true), p.first(false)
		if !p.Injected || v4 != nil && v4.DHCP || v6 != nil && v6.DHCP {
			continue
		}
		fmt.Fprintf(&b, "\nauto eth%d\n", number)
		writeInet(&b, number, p.MAC, v4)
		writeInet6(&b, number, p.MAC, v6)
	}
	if b.Len() == 0 {
		return nil
	}
	return []byte(interfacesHead + b.String())
}

func writeInet(b *strings.Builder, number int, mac string, s *Subnet) {
	if s == nil || len(s.Addrs) == 0 {
		return
	}
	fmt.Fprintf(b, "iface eth%d inet static\n    hwaddress ether %s\n    address %s\n    netmask %s\n    broadcast %s\n",
		number, mac, s.Addrs[0], netmask(s.CIDR), broadcast(s.CIDR))
	writeCommon(b, s)
}

func writeInet6(b *strings.Builder, number int, mac string, s *Subnet) {
	if s == nil || len(s.Addrs) == 0 {
		return
	}
	fmt.Fprintf(b, "iface eth%d inet6 static\n    hwaddress ether %s\n    address %s\n    netmask %d\n",
		number, mac, s.Addrs[0], s.CIDR.Bits())
	writeCommon(b, s)
}

func writeCommon(b *strings.Builder, s *Subnet) {
	if s.Gateway.IsValid() {
		fmt.Fprintf(b, "    gateway %s\n", s.Gateway)
	}
	if len(s.DNS) == 0 {
		return
	}
	b.WriteString("    dns-nameservers")
	for _, a := range s.DNS {
		b.WriteString(" " + a.String())
	}
	b.WriteString("\n")
}

// broadcast returns the last address of an IPv4 network.
func broadcast(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr().As4()
	last := binary.BigEndian.Uint32(a[:]) | uint32(uint64(1)<<(32-p.Bits())-1)
	binary.BigEndian.PutUint32(a[:], last)
	return netip.AddrFrom4(a)
}
