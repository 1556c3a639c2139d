package dhcpagent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"imprint/base/daemon"
	"imprint/base/dhcp"
	"imprint/base/netdev"
	"imprint/base/netns"
	"imprint/host/cloud"
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
	return errors.Join(r.ensureDHCP(ctx, n, port, ns, sockets), r.ensureMetadata(ctx, n, port, ns, sockets))
}

func (r round) ensurePort(n cloud.DesiredNetwork, port cloud.DesiredPort) (*netns.NS, netdev.Link, error) {
	ns, err := r.fabric.EnsureNamespace(r.namespace(n.ID))
	if err != nil {
		return nil, netdev.Link{}, err
	}
	link := netdev.Link{}
	err = quiet(ns)
	if err == nil {
		addrs := prefixes(port)
		if r.cfg.metadataHere(n) {
			addrs = append(addrs, metadataAddrs(ns)...)
		}
		link, err = r.fabric.Leg(port, n.MTU, ns, addrs)
	}
	if err != nil {
		ns.Close()
		return nil, netdev.Link{}, err
	}
	return ns, link, nil
}

// quiet makes the namespace neither route (the host's setting is inherited)
// nor take up what routers advertise.
func quiet(ns *netns.NS) error {
	return errors.Join(ns.SetSysctl("ipv4/ip_forward", "0"), ns.SetSysctlIfKnown("ipv6/conf/default/accept_ra", "0"))
}

func (r round) ensureDHCP(ctx context.Context, n cloud.DesiredNetwork, port cloud.DesiredPort, ns *netns.NS, sockets string) error {
	if r.dhcp == nil {
		return nil // the worker is away, and that has been said
	}
	data, err := json.Marshal(r.cfg.served(n, port))
	if err != nil {
		return err
	}
	item := daemon.Item{Key: keyPrefix + string(n.ID), Sockets: sockets, Data: data}
	return r.dhcp.Ensure(ctx, item, func() ([]*os.File, error) {
		var conn *net.UDPConn
		err := ns.Do(func() (err error) { conn, err = dhcp.OpenServer(fabric.PortLink(port)); return err })
		if err != nil {
			return nil, err
		}
		r.log.Info("dhcp socket handed over", "network_id", n.ID, "netns", ns.Name())
		return daemon.Files(conn)
	})
}

func (r round) ensureMetadata(ctx context.Context, n cloud.DesiredNetwork, port cloud.DesiredPort, ns *netns.NS, sockets string) error {
	if r.proxy == nil || !r.cfg.metadataHere(n) {
		return nil
	}
	item := daemon.Item{Key: keyPrefix + string(n.ID), Sockets: sockets}
	return r.proxy.Ensure(ctx, item, func() ([]*os.File, error) {
		r.log.Info("metadata listeners handed over", "network_id", n.ID, "netns", ns.Name())
		return listenMetadata(ctx, ns, fabric.PortLink(port))
	})
}

// metadataAddrs are the metadata addresses that ns can have.
func metadataAddrs(ns *netns.NS) []netip.Prefix {
	if ns.HasIPv6() {
		return []netip.Prefix{metadata4, metadata6}
	}
	return []netip.Prefix{metadata4}
}

// listenMetadata listens on port 80 of the metadata addresses.
func listenMetadata(ctx context.Context, ns *netns.NS, link string) (files []*os.File, err error) {
	for _, p := range metadataAddrs(ns) {
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
