package l3agent

import (
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"slices"

	"imprint/base/daemon"
	"imprint/base/dhcp"
	"imprint/base/netdev"
	"imprint/base/netns"
	"imprint/host/cloud"
	"imprint/host/fabric"
)

// maxRDNSS is how many name servers are advertised. neutron: agent/linux/ra.py
// MAX_RDNSS_ENTRIES
const maxRDNSS = 3

// advertisement is what a leg says on its network; ok is false where none of
// its subnets is to be advertised. neutron: agent/linux/ra.py CONFIG_TEMPLATE;
// unlike there, a leg whose subnets have no ipv6_ra_mode is silent: another
// router advertises them, or nobody.
func advertisement(p cloud.DesiredPort, n cloud.DesiredNetwork) (a dhcp.Advertisement, ok bool) {
	mac, err := dhcp.ParseMAC(string(p.MAC))
	if err != nil {
		return a, false
	}
	a.MAC, a.MTU = mac, n.MTU
	for _, s := range n.Subnets {
		if !s.CIDR.Addr().Is6() || s.RAMode == "" || !has(p, s.ID) {
			continue
		}
		ok = true
		a.Managed = a.Managed || s.RAMode == cloud.ModeStateful
		a.Other = a.Other || s.RAMode == cloud.ModeStateless
		a.Prefixes = append(a.Prefixes, dhcp.AdvertisedPrefix{Prefix: s.CIDR, Autonomous: s.RAMode != cloud.ModeStateful})
		for _, server := range s.DNS {
			if s.RAMode == cloud.ModeSLAAC && server.Is6() && !server.IsUnspecified() && len(a.DNS) < maxRDNSS && !slices.Contains(a.DNS, server) {
				a.DNS = append(a.DNS, server)
			}
		}
	}
	return a, ok
}

func has(p cloud.DesiredPort, id cloud.SubnetID) bool {
	return slices.ContainsFunc(p.Addrs, func(a cloud.PortAddr) bool { return a.SubnetID == id })
}

// ensureAdvertised hands the leg's socket and what to say over.
func (r round) ensureAdvertised(ctx context.Context, p cloud.DesiredPort, ns *netns.NS, link netdev.Link) error {
	a, ok := advertisement(p, r.slice.Networks[p.NetworkID])
	if !ok || !ns.HasIPv6() {
		return nil
	}
	key := dhcp.AdvertisementKey + string(p.ID)
	r.adverts[key] = true
	if r.advertiser == nil {
		return nil // the worker is away, and that has been said
	}
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	sockets, err := fabric.Sockets(ns, link.Index)
	if err != nil {
		return err
	}
	return r.advertiser.Ensure(ctx, daemon.Item{Key: key, Sockets: sockets, Data: data}, func() ([]*os.File, error) {
		var conn *net.IPConn
		err := ns.Do(func() (err error) { conn, err = dhcp.OpenAdvertiser(link.Name); return err })
		if err != nil {
			return nil, err
		}
		r.log.Info("advertisements handed over", "port_id", p.ID, "netns", ns.Name())
		return daemon.Files(conn)
	})
}

// hasMetadata6 reports whether the leg is the one that has the IPv6 metadata
// address on its network: the gateway of the first IPv6 subnet that has one,
// unless the network's DHCP port has the address. In Neutron it is on the DHCP
// port whatever is configured, and where nothing listens there nobody answers.
func (r round) hasMetadata6(p cloud.DesiredPort) bool {
	if p.Owner != cloud.OwnerRouterInterface || r.cfg.DHCPMetadata && r.dhcp[p.NetworkID] {
		return false
	}
	for _, s := range r.slice.Networks[p.NetworkID].Subnets {
		if s.CIDR.Addr().Is6() && s.Router.IsValid() {
			return slices.ContainsFunc(p.Addrs, func(a cloud.PortAddr) bool { return a.Prefix.Addr() == s.Router })
		}
	}
	return false
}

// addresses are those of a leg: the port's, on the gateway the floating ones,
// and the metadata address where the leg has it.
func (r round) addresses(router cloud.DesiredRouter, p cloud.DesiredPort, ns *netns.NS) (all []netip.Prefix) {
	for _, a := range p.Addrs {
		all = append(all, a.Prefix)
	}
	if p.Owner == cloud.OwnerRouterGateway {
		for _, f := range router.Floating {
			all = append(all, netip.PrefixFrom(f.Addr, f.Addr.BitLen()))
		}
	}
	if ns.HasIPv6() && r.hasMetadata6(p) {
		all = append(all, netip.PrefixFrom(metadata6, 64))
	}
	return all
}

// routes are those of the gateway: to everywhere, by the gateways of the
// external subnets that it is on.
func (r round) routes(p cloud.DesiredPort) (all []netdev.Route) {
	if p.Owner != cloud.OwnerRouterGateway {
		return nil
	}
	for _, s := range r.slice.Networks[p.NetworkID].Subnets {
		to := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if s.CIDR.Addr().Is6() {
			to = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		known := slices.ContainsFunc(all, func(r netdev.Route) bool { return r.To == to })
		if !known && has(p, s.ID) && s.Gateway.IsValid() && (s.CIDR.Contains(s.Gateway) || s.Gateway.IsLinkLocalUnicast()) {
			all = append(all, netdev.Route{To: to, Via: s.Gateway})
		}
	}
	return all
}

// ensureRoutes gives a leg its routes and no others.
func (r round) ensureRoutes(ns *netns.NS, link string, want []netdev.Route) error {
	h, err := netdev.Open(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	changed, err := h.SetRoutes(link, want)
	if changed {
		r.log.Info("routes set", "netns", ns.Name(), "link", link, "routes", want, "error", err)
	}
	return err
}
