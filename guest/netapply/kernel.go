package netapply

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ErrNotFound says that a configuration names a link that is not there.
var ErrNotFound = errors.New("link not found")

// kernel speaks rtnetlink to the namespace of the thread that opened it.
//
// base/netdev does the same for other namespaces, but enters them, its own
// too; an instance may lack the privilege for setns(2).
type kernel struct{ nl *netlink.Handle }

func openKernel() (kernel, error) {
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return kernel{}, fmt.Errorf("open rtnetlink: %w", err)
	}
	return kernel{nl}, nil
}

func (k kernel) Close() { k.nl.Close() }

// route is a route of the main table; the zero via is on the link.
type route struct {
	to     netip.Prefix
	via    netip.Addr
	metric int
}

func (k kernel) link(name string) (netlink.Link, error) {
	l, err := k.nl.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, ErrNotFound
	}
	return l, err
}

// setUp gives a link an MTU, unless it is zero, and brings it up.
func (k kernel) setUp(name string, mtu int) error {
	l, err := k.link(name)
	if err != nil {
		return err
	}
	if mtu != 0 && mtu != l.Attrs().MTU {
		if err := k.nl.LinkSetMTU(l, mtu); err != nil {
			return fmt.Errorf("set MTU %d: %w", mtu, err)
		}
	}
	if l.Attrs().Flags&net.FlagUp != 0 {
		return nil
	}
	return k.nl.LinkSetUp(l)
}

// setAddrs gives a link exactly these addresses. What IPv6 made or learned by
// itself, which is link-local or has an end, does not count.
func (k kernel) setAddrs(name string, want []netip.Prefix) error {
	l, err := k.link(name)
	if err != nil {
		return err
	}
	all, err := dump(func() ([]netlink.Addr, error) { return k.nl.AddrList(l, netlink.FAMILY_ALL) })
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range all {
		p := prefixOf(a.IPNet)
		learned := p.Addr().Is6() && (a.Flags&unix.IFA_F_PERMANENT == 0 || p.Addr().IsLinkLocalUnicast())
		if learned || slices.Contains(want, p) {
			continue
		}
		// With a subnet's first address the kernel may take others along.
		if err := k.nl.AddrDel(l, &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("remove address %s: %w", p, err)
		}
	}
	for _, p := range want {
		// Replacing one that is there changes nothing but a lifetime.
		if err := k.nl.AddrReplace(l, &netlink.Addr{IPNet: ipNet(p)}); err != nil {
			return fmt.Errorf("add address %s: %w", p, err)
		}
	}
	return nil
}

// setRoutes gives a link exactly these routes, in order, besides those of the
// kernel and of router advertisements.
func (k kernel) setRoutes(name string, want []route) error {
	l, err := k.link(name)
	if err != nil {
		return err
	}
	all, err := dump(func() ([]netlink.Route, error) { return k.nl.RouteList(l, netlink.FAMILY_ALL) })
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	have := map[route]bool{}
	for _, r := range all {
		if r.Protocol == unix.RTPROT_KERNEL || r.Protocol == unix.RTPROT_RA || r.Dst == nil {
			continue
		}
		via, _ := netip.AddrFromSlice(r.Gw)
		got := route{prefixOf(r.Dst), via.Unmap(), r.Priority}
		if got.to.Addr().Is6() && got.metric == defaultMetric6 {
			got.metric = 0
		}
		if slices.Contains(want, got) {
			have[got] = true
			continue
		}
		if err := k.nl.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("remove route to %s: %w", got.to, err)
		}
	}
	for _, r := range want {
		if have[r] {
			continue
		}
		if err := k.nl.RouteAdd(toKernel(l, r)); err != nil {
			return fmt.Errorf("add route to %s via %s: %w", r.to, r.via, err)
		}
	}
	return nil
}

// defaultMetric6 is what the kernel makes of no metric. IP6_RT_PRIO_USER
const defaultMetric6 = 1024

func toKernel(l netlink.Link, r route) *netlink.Route {
	out := &netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipNet(r.to), Protocol: unix.RTPROT_STATIC, Priority: r.metric}
	if r.via.IsValid() {
		out.Gw = r.via.AsSlice()
	} else {
		out.Scope = netlink.SCOPE_LINK
	}
	return out
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func prefixOf(n *net.IPNet) netip.Prefix {
	a, _ := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), bits)
}

// dump repeats a listing that a change interrupted.
func dump[T any](list func() ([]T, error)) ([]T, error) {
	const attempts = 20
	for n := 1; ; n++ {
		all, err := list()
		if n == attempts || !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
}
