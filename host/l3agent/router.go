package l3agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"imprint/base/daemon"
	"imprint/base/netns"
	"imprint/base/nft"
	"imprint/host/cloud"
	"imprint/host/fabric"
)

// ensureRouter makes one router what it should be: closed first, then its
// ports, then metadata.
func (r round) ensureRouter(ctx context.Context, router cloud.DesiredRouter) error {
	if !cloud.IsUUID(string(router.ID)) {
		return errors.New("id is not a UUID")
	}
	ports, failed := legs(r.slice, router)
	ns, err := r.fabric.EnsureNamespace(r.namespace(router.ID))
	if err == nil {
		defer ns.Close()
		err = errors.Join(forward(ns), r.filter(ns, gatewayOf(router, ports)))
	}
	if err != nil {
		for _, p := range ports {
			r.setUp(p.ID, false)
		}
		return errors.Join(failed, err)
	}
	for _, p := range ports { // one that fails does not stop the next
		failed = errors.Join(failed, r.ensurePort(ctx, router, p, ns))
	}
	if r.proxy == nil {
		return failed // the proxy is away, and that has been said
	}
	return errors.Join(failed, r.ensureListener(ctx, router.ID, ns))
}

// forward makes the namespace a router. neutron: agent/l3/namespaces.py. Its
// IPv6 addresses are usable at once.
func forward(ns *netns.NS) error {
	return errors.Join(
		ns.SetSysctl("ipv4/ip_forward", "1"),
		ns.SetSysctl("ipv4/conf/all/arp_ignore", "1"),
		ns.SetSysctl("ipv4/conf/all/arp_announce", "2"),
		ns.SetSysctlIfKnown("ipv6/conf/all/ndisc_notify", "1"),
		ns.SetSysctlIfKnown("ipv6/conf/all/forwarding", "1"),
		ns.SetSysctlIfKnown("ipv6/conf/default/accept_ra", "0"),
		ns.SetSysctlIfKnown("ipv6/conf/default/accept_dad", "0"),
	)
}

func (r round) filter(ns *netns.NS, g *gateway) error {
	changed, err := nft.Apply(ns, rules(r.cfg.MetadataPort, g))
	if changed {
		r.log.Info("rules set", "netns", ns.Name())
	}
	return err
}

// legs returns the ports that the router has on this node, and an error for
// each id that is none.
func legs(s cloud.Slice, r cloud.DesiredRouter) (ports []cloud.DesiredPort, failed error) {
	ids := r.Ports
	if r.Gateway != "" {
		ids = append(slices.Clone(ids), r.Gateway)
	}
	for _, id := range ids {
		p, known := s.Ports[id]
		switch {
		case (p.Owner == cloud.OwnerRouterGateway) != (id == r.Gateway) || !known || p.DeviceID != string(r.ID) || fabric.ClassOf(p) != fabric.Router:
			failed = errors.Join(failed, fmt.Errorf("port %s is not the router's", id))
		case p.Local:
			ports = append(ports, p)
		}
	}
	return ports, failed
}

// ensurePort plugs a port of the router and has it advertise.
func (r round) ensurePort(ctx context.Context, router cloud.DesiredRouter, p cloud.DesiredPort, ns *netns.NS) error {
	addrs := r.addresses(router, p, ns)
	link, err := r.fabric.Leg(p, r.slice.Networks[p.NetworkID].MTU, ns, addrs)
	if err == nil {
		err = r.ensureRoutes(ns, link.Name, r.routes(p))
	}
	r.setUp(p.ID, err == nil)
	if err != nil {
		return err
	}
	now := leg{netns: ns.Name(), index: link.Index, port: p, addrs: addrs}
	if news := now.news(r.told[p.ID]); len(news.addrs) > 0 {
		r.fresh = append(r.fresh, news)
	}
	r.told[p.ID] = now
	return r.ensureAdvertised(ctx, p, ns, link)
}

func (r round) ensureListener(ctx context.Context, id cloud.RouterID, ns *netns.NS) error {
	sockets, err := fabric.Sockets(ns, 0)
	if err != nil {
		return err
	}
	item := daemon.Item{Key: keyPrefix + string(id), Sockets: fmt.Sprintf("%s:%d", sockets, r.cfg.MetadataPort)}
	any := netip.IPv4Unspecified()
	if ns.HasIPv6() {
		any = netip.IPv6Unspecified() // both families
	}
	return r.proxy.Ensure(ctx, item, func() ([]*os.File, error) {
		l, err := ns.ListenTCP(ctx, "tcp", netip.AddrPortFrom(any, r.cfg.MetadataPort))
		if err != nil {
			return nil, err
		}
		r.log.Info("metadata listener handed over", "router_id", id, "netns", ns.Name())
		return daemon.Files(l)
	})
}
