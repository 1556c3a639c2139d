package netapply

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"imprint/base/dhcp"
	"imprint/guest/netstate"
)

// link brings up one link. taken are the destinations that there are routes to
// already: the first keeps them, as with ifup.
func (a *Applier) link(ctx context.Context, k kernel, l netstate.Link, taken map[netip.Prefix]bool) ([]dhcp.Lease, error) {
	if l.Type != netstate.Physical {
		return nil, fmt.Errorf("links of type %s: %w", l.Type, errors.ErrUnsupported)
	}
	if err := k.setUp(l.Name, l.MTU); err != nil {
		return nil, err
	}
	if len(l.Subnets) == 0 {
		return nil, nil
	}
	p := plan{taken: taken, name: l.Name, mtu: l.MTU}
	var errs []error
	for _, s := range l.Subnets {
		if !s.ByHand {
			errs = append(errs, a.subnet(ctx, &p, s))
		}
	}
	return p.leases, errors.Join(append(errs, p.apply(k))...)
}

// subnet adds one subnet's address and routes to the plan.
func (a *Applier) subnet(ctx context.Context, p *plan, s netstate.Subnet) error {
	if s.MTU > 0 && !s.Is6() {
		p.mtu = s.MTU
	}
	switch s.Method {
	case netstate.DHCP4:
		lease, err := a.acquire(ctx, p.name)
		if err != nil {
			return err
		}
		p.lease(lease)
	case netstate.Static:
		p.addrs = append(p.addrs, s.Address)
	case netstate.DHCP6, netstate.DHCP6Stateful:
		return fmt.Errorf("addresses by %s: %w", s.Method, errors.ErrUnsupported)
	default:
		// The kernel does what advertisements say, routes too.
		return nil
	}
	if s.Gateway.IsValid() {
		p.routes = append(p.routes, route{to: everywhere(s.Gateway), via: s.Gateway})
	}
	for _, r := range s.Routes {
		p.routes = append(p.routes, route{r.To.Masked(), r.Via, r.Metric})
	}
	return nil
}

func (a *Applier) acquire(ctx context.Context, name string) (dhcp.Lease, error) {
	wait := a.Wait
	if wait == 0 {
		wait = DefaultWait
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var client Acquirer = &dhcp.Client{Log: a.log()}
	if a.DHCP != nil {
		client = a.DHCP
	}
	l, err := client.Acquire(ctx, name)
	if err == nil {
		a.log().Info("lease acquired", "interface", name, "addr", l.Address.String(), "server", l.ServerID.String(), "lifetime", l.Lifetime)
	}
	return l, err
}

// plan is what a link shall have.
type plan struct {
	name   string
	mtu    int
	addrs  []netip.Prefix
	routes []route
	leases []dhcp.Lease
	taken  map[netip.Prefix]bool
}

func (p *plan) lease(l dhcp.Lease) {
	p.leases = append(p.leases, l)
	p.addrs = append(p.addrs, l.Address)
	if p.mtu == 0 {
		p.mtu = l.MTU
	}
	for _, r := range l.Routes {
		via := r.Via
		if via.IsUnspecified() {
			via = netip.Addr{} // RFC 3442: on the link
		}
		p.routes = append(p.routes, route{to: r.To.Masked(), via: via})
	}
}

// apply sets what differs. Without an address that it should have, a link
// keeps those that it has: a lease that could not be had now may still be good.
func (p *plan) apply(k kernel) error {
	if len(p.addrs) == 0 {
		return nil
	}
	if err := k.setUp(p.name, p.mtu); err != nil {
		return err
	}
	if err := k.setAddrs(p.name, unique(p.addrs)); err != nil {
		return err
	}
	return k.setRoutes(p.name, p.allRoutes())
}

// allRoutes are the routes to gateways that no subnet holds, and then the
// routes themselves.
func (p *plan) allRoutes() []route {
	var onLink, all []route
	for _, r := range p.routes {
		if p.taken[r.to] {
			continue
		}
		p.taken[r.to] = true
		if r.via.IsValid() && !p.reaches(r.via) {
			onLink = append(onLink, route{to: netip.PrefixFrom(r.via, r.via.BitLen())})
		}
		all = append(all, r)
	}
	return append(unique(onLink), all...)
}

func (p *plan) reaches(gateway netip.Addr) bool {
	return gateway.IsLinkLocalUnicast() && gateway.Is6() ||
		slices.ContainsFunc(p.addrs, func(a netip.Prefix) bool { return a.Contains(gateway) })
}

func everywhere(a netip.Addr) netip.Prefix {
	if a.Is4() {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}
