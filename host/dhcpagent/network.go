package dhcpagent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"imprint/base/daemon"
	"imprint/base/dhcp"
	"imprint/base/netdev"
	"imprint/base/netns"
	"imprint/host/cloud"
	"imprint/host/dns"
	"imprint/host/fabric"
)

// ensureNetwork makes one network served: its port, then DHCP and metadata.
func (r round) ensureNetwork(ctx context.Context, n cloud.DesiredNetwork) error {
	port, known := r.slice.Ports[n.DHCPPort]
	switch {
	case !cloud.IsUUID(string(n.ID)):
		return errors.New("id is not a UUID")
	case !known || port.NetworkID != n.ID || fabric.ClassOf(port) != fabric.DHCP:
		return fmt.Errorf("port %s is not its DHCP port", n.DHCPPort)
	}
	ns, link, err := r.ensurePort(n, port)
	r.setUp(port.ID, err == nil)
	if err != nil {
		return err
	}
	defer ns.Close()
	sockets, err := fabric.Sockets(ns, link.Index)
	if err != nil {
		return err
	}
	return errors.Join(r.ensureRoute(ns, link, n, port), r.ensureServed(ctx, n, port, ns, sockets), r.ensureMetadata(ctx, n, port, ns, sockets))
}

func (r round) ensurePort(n cloud.DesiredNetwork, port cloud.DesiredPort) (*netns.NS, netdev.Link, error) {
	ns, err := r.fabric.EnsureNamespace(r.namespace(n.ID))
	if err != nil {
		return nil, netdev.Link{}, err
	}
	link := netdev.Link{}
	err = quiet(ns)
	if err == nil {
		link, err = r.fabric.Leg(port, n.MTU, ns, append(prefixes(port), possible(ns, r.cfg.metadataOn(n))...))
	}
	if err != nil {
		ns.Close()
		return nil, netdev.Link{}, err
	}
	return ns, link, nil
}

// quiet makes the namespace neither route (the host's setting is inherited)
// nor take up what routers advertise. Its addresses are usable at once.
func quiet(ns *netns.NS) error {
	return errors.Join(
		ns.SetSysctl("ipv4/ip_forward", "0"),
		ns.SetSysctlIfKnown("ipv6/conf/all/forwarding", "0"),
		ns.SetSysctlIfKnown("ipv6/conf/default/accept_ra", "0"),
		ns.SetSysctlIfKnown("ipv6/conf/default/accept_dad", "0"),
	)
}

// ensureRoute gives the namespace the gateway of the first subnet that has one,
// so that answers find their way to clients behind a router. neutron:
// agent/linux/dhcp.py _set_default_route
func (r round) ensureRoute(ns *netns.NS, link netdev.Link, n cloud.DesiredNetwork, port cloud.DesiredPort) error {
	var want []netdev.Route
	for _, s := range n.Subnets {
		server := serverOn(s, port)
		if server.Is4() && s.Gateway.IsValid() && s.CIDR.Contains(s.Gateway) && s.Gateway != server {
			want = append(want, netdev.Route{To: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Via: s.Gateway})
			break
		}
	}
	h, err := netdev.Open(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	changed, err := h.SetRoutes(link.Name, want)
	if changed && err == nil {
		r.log.Info("default route set", "netns", ns.Name(), "routes", want)
	}
	return err
}

func prefixes(p cloud.DesiredPort) (all []netip.Prefix) {
	for _, a := range p.Addrs {
		all = append(all, a.Prefix)
	}
	return all
}

// ensureServed hands DHCP and DNS over.
func (r round) ensureServed(ctx context.Context, n cloud.DesiredNetwork, port cloud.DesiredPort, ns *netns.NS, sockets string) error {
	if r.dhcp == nil {
		return nil // the worker is away, and that has been said
	}
	data, err := json.Marshal(r.cfg.served(n, port))
	if err != nil {
		return err
	}
	v6 := ns.HasIPv6()
	item := daemon.Item{Key: keyPrefix + string(n.ID), Sockets: fmt.Sprintf("%s/6:%v", sockets, v6), Data: data}
	return r.dhcp.Ensure(ctx, item, func() (files []*os.File, err error) {
		err = ns.Do(func() (err error) { files, err = openSockets(fabric.PortLink(port), v6); return err })
		r.log.Info("dhcp and dns sockets handed over", "network_id", n.ID, "netns", ns.Name(), "error", err)
		return files, err
	})
}

// openSockets opens what [Serve] takes: DHCP, DNS over UDP and TCP, DHCPv6.
func openSockets(link string, v6 bool) (files []*os.File, err error) {
	conn, err := dhcp.OpenServer(link)
	if err != nil {
		return nil, err
	}
	if files, err = daemon.Files(conn); err != nil {
		return files, err
	}
	udp, tcp, err := dns.Open(link, v6)
	if err != nil {
		return files, err
	}
	more, err := daemon.Files(udp, tcp)
	files = append(files, more...)
	if err != nil || !v6 {
		return files, err
	}
	conn, err = dhcp.OpenServer6(link)
	if err != nil {
		return files, err
	}
	more, err = daemon.Files(conn)
	return append(files, more...), err
}

func (r round) ensureMetadata(ctx context.Context, n cloud.DesiredNetwork, port cloud.DesiredPort, ns *netns.NS, sockets string) error {
	on := possible(ns, r.cfg.metadataOn(n))
	if r.proxy == nil || len(on) == 0 {
		return nil
	}
	item := daemon.Item{Key: keyPrefix + string(n.ID), Sockets: fmt.Sprint(sockets, on)}
	return r.proxy.Ensure(ctx, item, func() ([]*os.File, error) {
		r.log.Info("metadata listeners handed over", "network_id", n.ID, "netns", ns.Name())
		return listenMetadata(ctx, ns, fabric.PortLink(port), on)
	})
}
