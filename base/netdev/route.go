package netdev

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Route is a route of the main table through one link.
type Route struct {
	To  netip.Prefix // masked; 0.0.0.0/0 and ::/0 are the default routes
	Via netip.Addr   // the zero Addr: on the link
}

func (r Route) compare(o Route) int {
	if c := r.To.Compare(o.To); c != 0 {
		return c
	}
	return r.Via.Compare(o.Via)
}

// Routes returns the link's routes, sorted, without those that the kernel
// made for its addresses.
func (h *Handle) Routes(link string) ([]Route, error) {
	l, err := h.nl.LinkByName(link)
	if err != nil {
		return nil, h.wrap("list routes of", link, notFound(err))
	}
	routes, err := h.routes(l)
	return routes, h.wrap("list routes of", link, err)
}

// SetRoutes gives link exactly the routes want, besides those of the kernel,
// and reports whether that changed anything. The link must be up.
func (h *Handle) SetRoutes(link string, want []Route) (changed bool, err error) {
	l, err := h.nl.LinkByName(link)
	if err != nil {
		return false, h.wrap("set routes of", link, notFound(err))
	}
	have, err := h.routes(l)
	if err != nil {
		return false, h.wrap("set routes of", link, err)
	}
	for _, r := range have {
		if slices.Contains(want, r) {
			continue
		}
		changed = true
		if err := h.nl.RouteDel(routeToKernel(l, r)); err != nil && !errors.Is(err, unix.ESRCH) {
			return changed, h.wrap(fmt.Sprintf("remove route to %s of", r.To), link, err)
		}
	}
	for _, r := range want {
		if slices.Contains(have, r) {
			continue
		}
		changed = true
		if err := h.nl.RouteAdd(routeToKernel(l, r)); err != nil {
			return changed, h.wrap(fmt.Sprintf("add route to %s to", r.To), link, err)
		}
	}
	return changed, nil
}

func (h *Handle) routes(l netlink.Link) ([]Route, error) {
	all, err := dump(func() ([]netlink.Route, error) { return h.nl.RouteList(l, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, err
	}
	var routes []Route
	for _, r := range all {
		if r.Protocol == unix.RTPROT_KERNEL || r.Dst == nil {
			continue
		}
		to, ok := netip.AddrFromSlice(r.Dst.IP)
		if !ok || to.IsMulticast() {
			continue
		}
		ones, _ := r.Dst.Mask.Size()
		via, _ := netip.AddrFromSlice(r.Gw)
		routes = append(routes, Route{netip.PrefixFrom(to.Unmap(), ones), via.Unmap()})
	}
	slices.SortFunc(routes, Route.compare)
	return routes, nil
}

func routeToKernel(l netlink.Link, r Route) *netlink.Route {
	route := &netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipNet(r.To), Protocol: unix.RTPROT_STATIC}
	if r.Via.IsValid() {
		route.Gw = r.Via.AsSlice()
	} else {
		route.Scope = netlink.SCOPE_LINK
	}
	return route
}
