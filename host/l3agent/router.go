package l3agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"imprint/base/daemon"
	"imprint/base/netns"
	"imprint/base/nft"
	"imprint/host/cloud"
	"imprint/host/fabric"
)

// Table is the name of the nftables table (family inet) in a router's
// namespace, and MetadataRule the comment of the rule whose counter tells how
// many connections to the metadata address were redirected.
const (
	Table        = "imprint-router"
	MetadataRule = "metadata"
)

var metadataAddr = netip.AddrFrom4([4]byte{169, 254, 169, 254})

// ensureRouter makes one router what it should be: closed first, then its
// ports, then metadata.
func (a *Agent) ensureRouter(ctx context.Context, s cloud.Slice, r cloud.DesiredRouter, held *daemon.Holding) error {
	if !cloud.IsUUID(string(r.ID)) {
		return errors.New("id is not a UUID")
	}
	ns, err := a.fabric.EnsureNamespace(a.namespace(r.ID))
	if err == nil {
		defer ns.Close()
		err = errors.Join(forward(ns), a.filter(ns))
	}
	if err != nil {
		ports, _ := legs(s, r)
		for _, p := range ports {
			a.setUp(p.ID, false)
		}
		return err
	}
	failed := a.ensurePorts(s, r, ns)
	if held == nil {
		return failed // the proxy is away, and that has been said
	}
	return errors.Join(failed, a.ensureListener(ctx, r.ID, ns, held))
}

// forward makes the namespace a router. neutron: agent/l3/namespaces.py
func forward(ns *netns.NS) error {
	return errors.Join(
		ns.SetSysctl("ipv4/ip_forward", "1"),
		ns.SetSysctl("ipv4/conf/all/arp_ignore", "1"),
		ns.SetSysctl("ipv4/conf/all/arp_announce", "2"),
		ns.SetSysctlIfKnown("ipv6/conf/all/ndisc_notify", "1"),
		ns.SetSysctlIfKnown("ipv6/conf/all/forwarding", "1"),
		ns.SetSysctlIfKnown("ipv6/conf/default/accept_ra", "0"),
	)
}

// filter redirects metadata and closes the router itself to everything but
// that and ICMP.
func (a *Agent) filter(ns *netns.NS) error {
	changed, err := nft.Apply(ns, rules(a.cfg.MetadataPort))
	if changed {
		a.log.Info("rules set", "netns", ns.Name())
	}
	return err
}

// rules of a router. neutron: agent/metadata/driver.py
// metadata_nat_rules, metadata_filter_rules. A connection counts as redirected
// by its conntrack status instead of a packet mark.
func rules(port uint16) nft.Table {
	return nft.Table{Family: nft.Inet, Name: Table, Chains: []nft.Chain{
		{
			Name: "prerouting",
			Hook: nft.Hook{Type: nft.NAT, Point: nft.Prerouting, Priority: -100},
			Rules: []nft.Rule{
				nft.NewRule(MetadataRule, nft.InName("qr-*"), nft.Protocol4(), nft.Dest(metadataAddr), nft.TCPDest(80), nft.Counter(), nft.Redirect(port)),
			},
		},
		{
			Name: "input",
			Hook: nft.Hook{Type: nft.Filter, Point: nft.Input, Drop: true},
			Rules: []nft.Rule{
				nft.NewRule("", nft.Established(), nft.Accept()),
				nft.NewRule("", nft.TCPDest(port), nft.Redirected(), nft.Accept()),
				nft.NewRule("", nft.ICMP(), nft.Accept()),
				nft.NewRule("", nft.ICMPv6(), nft.Accept()),
			},
		},
	}}
}

// legs returns the ports that the router has on this node, and an error for
// each id that is none.
func legs(s cloud.Slice, r cloud.DesiredRouter) (ports []cloud.DesiredPort, failed error) {
	for _, id := range r.Ports {
		p, known := s.Ports[id]
		switch {
		case !known || p.DeviceID != string(r.ID) || fabric.ClassOf(p) != fabric.Router:
			failed = errors.Join(failed, fmt.Errorf("port %s is not the router's", id))
		case p.Local:
			ports = append(ports, p)
		}
	}
	return ports, failed
}

// ensurePorts plugs the router's ports. One that fails does not stop the next.
func (a *Agent) ensurePorts(s cloud.Slice, r cloud.DesiredRouter, ns *netns.NS) error {
	ports, failed := legs(s, r)
	for _, p := range ports {
		link, err := a.fabric.Leg(p, s.Networks[p.NetworkID].MTU, ns, prefixes(p))
		a.setUp(p.ID, err == nil)
		if err == nil && a.index[p.ID] != link.Index {
			a.index[p.ID] = link.Index
			a.fresh = append(a.fresh, leg{netns: ns.Name(), index: link.Index, port: p})
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

func prefixes(p cloud.DesiredPort) (all []netip.Prefix) {
	for _, addr := range p.Addrs {
		all = append(all, addr.Prefix)
	}
	return all
}

func (a *Agent) ensureListener(ctx context.Context, id cloud.RouterID, ns *netns.NS, held *daemon.Holding) error {
	sockets, err := fabric.Sockets(ns, 0)
	if err != nil {
		return err
	}
	item := daemon.Item{Key: keyPrefix + string(id), Sockets: fmt.Sprintf("%s:%d", sockets, a.cfg.MetadataPort)}
	any := netip.IPv4Unspecified()
	if ns.HasIPv6() {
		any = netip.IPv6Unspecified() // both families
	}
	return held.Ensure(ctx, item, func() ([]*os.File, error) {
		l, err := ns.ListenTCP(ctx, "tcp", netip.AddrPortFrom(any, a.cfg.MetadataPort))
		if err != nil {
			return nil, err
		}
		a.log.Info("metadata listener handed over", "router_id", id, "netns", ns.Name())
		return daemon.Files(l)
	})
}
