package netdev

import (
	"errors"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Addrs returns the addresses of a link with their prefix lengths, sorted.
// Those that the kernel made for itself, the link-local address of IPv6, are
// left out.
func (h *Handle) Addrs(link string) ([]netip.Prefix, error) {
	l, err := h.nl.LinkByName(link)
	if err != nil {
		return nil, h.wrap("list addresses of", link, notFound(err))
	}
	have, err := h.addrs(l)
	if err != nil {
		return nil, h.wrap("list addresses of", link, err)
	}
	var all []netip.Prefix
	for p := range have {
		all = append(all, p)
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return all, nil
}

// SetAddrs gives link exactly the addresses want (the address with its
// subnet's length), and reports whether that changed anything. IPv6 addresses
// are usable at once, without duplicate address detection: Imprint itself
// gives them out.
func (h *Handle) SetAddrs(link string, want []netip.Prefix) (changed bool, err error) {
	l, err := h.nl.LinkByName(link)
	if err != nil {
		return false, h.wrap("set addresses of", link, notFound(err))
	}
	have, err := h.addrs(l)
	if err != nil {
		return false, h.wrap("set addresses of", link, err)
	}
	for p, addr := range have {
		if slices.Contains(want, p) {
			continue
		}
		changed = true
		// With a subnet's first address the kernel may take others along.
		if err := h.nl.AddrDel(l, &addr); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return changed, h.wrap("remove address "+p.String()+" of", link, err)
		}
	}
	if changed {
		if have, err = h.addrs(l); err != nil {
			return changed, h.wrap("set addresses of", link, err)
		}
	}
	for _, p := range want {
		if _, ok := have[p]; ok {
			continue
		}
		changed = true
		if err := h.nl.AddrAdd(l, toKernel(p)); err != nil {
			return changed, h.wrap("add address "+p.String()+" to", link, err)
		}
	}
	return changed, nil
}

func (h *Handle) addrs(l netlink.Link) (map[netip.Prefix]netlink.Addr, error) {
	all, err := dump(func() ([]netlink.Addr, error) { return h.nl.AddrList(l, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, err
	}
	have := map[netip.Prefix]netlink.Addr{}
	for _, a := range all {
		ip, ok := netip.AddrFromSlice(a.IP)
		ones, _ := a.Mask.Size()
		if !ok || ip == LinkLocal(l.Attrs().HardwareAddr) {
			continue
		}
		have[netip.PrefixFrom(ip.Unmap(), ones)] = a
	}
	return have, nil
}

// LinkLocal returns the IPv6 address that an interface with this MAC makes for
// itself; the zero Addr for anything but six bytes. RFC 4291 appendix A.
func LinkLocal(mac net.HardwareAddr) netip.Addr {
	if len(mac) != 6 {
		return netip.Addr{}
	}
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]})
}

func toKernel(p netip.Prefix) *netlink.Addr {
	addr := &netlink.Addr{IPNet: ipNet(p)}
	if p.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	return addr
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
