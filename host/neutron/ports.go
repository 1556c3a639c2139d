package neutron

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	neutronports "github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"

	"imprint/host/cloud"
)

// Bounds of what is asked.
const (
	maxInFlight = 32   // requests to Neutron
	maxNetworks = 64   // in one request, for the length of its URL
	maxPorts    = 4096 // of one answer
)

// Ports looks up in a Neutron; it meets the metadata agent's interface of the
// same name. Safe for concurrent use.
type Ports struct {
	session *session
	cache   *cache
	slots   chan struct{}
}

// New returns look-ups as the user of l, who logs in with the first one. Close
// must be called. A nil log discards.
func New(l Login, log *slog.Logger) (*Ports, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	p := &Ports{session: newSession(l), slots: make(chan struct{}, maxInFlight)}
	p.cache = newCache(defaultTimes(), time.Now, log)
	return p, nil
}

// Close waits for what is under way in the background.
func (p *Ports) Close() {
	p.cache.close()
	p.session.http.CloseIdleConnections()
}

// Router returns the networks and subnets of a router's inner interfaces.
func (p *Ports) Router(ctx context.Context, id cloud.RouterID) ([]cloud.NetworkID, []cloud.SubnetID, error) {
	legs, err := p.legs(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	networks, subnets := attached(legs)
	return networks, subnets, nil
}

// attached is where the interfaces are.
func attached(legs []cloud.DesiredPort) (networks []cloud.NetworkID, subnets []cloud.SubnetID) {
	for _, leg := range legs {
		if !slices.Contains(networks, leg.NetworkID) {
			networks = append(networks, leg.NetworkID)
		}
		for _, a := range leg.Addrs {
			subnets = append(subnets, a.SubnetID)
		}
	}
	return networks, subnets
}

// interfaceOwners are the owners of a router's inner interfaces (neutron-lib:
// constants.py, ROUTER_INTERFACE_OWNERS).
func interfaceOwners() []string {
	return []string{cloud.OwnerRouterInterface, "network:router_interface_distributed", "network:ha_router_replicated_interface"}
}

func (p *Ports) legs(ctx context.Context, id cloud.RouterID) ([]cloud.DesiredPort, error) {
	return p.cache.get(ctx, routerKey(id), func(ctx context.Context) ([]cloud.DesiredPort, error) {
		return p.list(ctx, url.Values{"device_id": {string(id)}, "device_owner": interfaceOwners()}, nil)
	})
}

// ByAddr returns the ports of the networks that have the address.
func (p *Ports) ByAddr(ctx context.Context, networks []cloud.NetworkID, addr netip.Addr) ([]cloud.DesiredPort, error) {
	return p.cache.get(ctx, portKey(networks, addr.String()), func(ctx context.Context) ([]cloud.DesiredPort, error) {
		return p.list(ctx, url.Values{"fixed_ips": {"ip_address=" + addr.String()}}, networks)
	})
}

// ByMAC returns the ports of the networks that have the hardware address.
func (p *Ports) ByMAC(ctx context.Context, networks []cloud.NetworkID, mac cloud.MAC) ([]cloud.DesiredPort, error) {
	return p.cache.get(ctx, portKey(networks, string(mac)), func(ctx context.Context) ([]cloud.DesiredPort, error) {
		return p.list(ctx, url.Values{"mac_address": {string(mac)}}, networks)
	})
}

// Forget drops what is known of a sender, unless that is new.
func (p *Ports) Forget(s cloud.Sender) bool {
	networks := []cloud.NetworkID{s.Network}
	forgotten := false
	if s.Router != "" {
		known, _ := p.cache.peek(routerKey(s.Router))
		networks, _ = attached(known.ports)
		forgotten = p.cache.forget(routerKey(s.Router))
	}
	what := s.Addr.String()
	if mac, ok := s.MAC(); ok {
		what = string(mac)
	}
	return p.cache.forget(portKey(networks, what)) || forgotten
}

func routerKey(id cloud.RouterID) string { return "router " + string(id) }

func portKey(networks []cloud.NetworkID, what string) string {
	var b strings.Builder
	for _, n := range networks {
		b.WriteString(string(n) + " ")
	}
	return b.String() + what
}

// query is what is asked of Neutron's port list.
type query url.Values

// ToPortListQuery makes query what gophercloud wants; its own options know one
// network at a time.
func (q query) ToPortListQuery() (string, error) { return "?" + url.Values(q).Encode(), nil }

// list asks for the ports that match; of networks, unless nil.
func (p *Ports) list(ctx context.Context, q url.Values, networks []cloud.NetworkID) ([]cloud.DesiredPort, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	default:
		return nil, cloud.Errorf(cloud.Unavailable, "Too many look-ups are under way.")
	}
	client, err := p.session.network(ctx)
	if err != nil {
		return nil, err
	}
	q["fields"] = []string{"id", "network_id", "project_id", "tenant_id", "mac_address", "device_id", "device_owner", "fixed_ips"}
	if networks == nil {
		return page(ctx, client, q)
	}
	var all []cloud.DesiredPort
	for some := range slices.Chunk(networks, maxNetworks) {
		q["network_id"] = nil
		for _, n := range some {
			q["network_id"] = append(q["network_id"], string(n))
		}
		found, err := page(ctx, client, q)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func page(ctx context.Context, client *gophercloud.ServiceClient, q url.Values) ([]cloud.DesiredPort, error) {
	pages, err := neutronports.List(client, query(q)).AllPages(ctx)
	if err != nil {
		return nil, fmt.Errorf("list ports: %w", withoutBody(err))
	}
	found, err := neutronports.ExtractPorts(pages)
	if err != nil {
		return nil, fmt.Errorf("list ports: %w", err)
	}
	if len(found) > maxPorts {
		return nil, fmt.Errorf("list ports: %d of them", len(found))
	}
	var all []cloud.DesiredPort
	for _, f := range found {
		port, err := toPort(f)
		if err != nil {
			return nil, fmt.Errorf("port %s: %w", f.ID, err)
		}
		all = append(all, port)
	}
	return all, nil
}

// toPort takes what a look-up needs; the lengths of prefixes are not asked for.
func toPort(f neutronports.Port) (cloud.DesiredPort, error) {
	mac, err := cloud.ParseMAC(f.MACAddress)
	if err != nil {
		return cloud.DesiredPort{}, err
	}
	p := cloud.DesiredPort{
		ID: cloud.PortID(f.ID), NetworkID: cloud.NetworkID(f.NetworkID), ProjectID: cloud.ProjectID(cmp.Or(f.ProjectID, f.TenantID)),
		MAC: mac, Owner: f.DeviceOwner, DeviceID: f.DeviceID,
	}
	for _, ip := range f.FixedIPs {
		addr, err := netip.ParseAddr(ip.IPAddress)
		if err != nil {
			return cloud.DesiredPort{}, err
		}
		p.Addrs = append(p.Addrs, cloud.PortAddr{SubnetID: cloud.SubnetID(ip.SubnetID), Prefix: netip.PrefixFrom(addr, addr.BitLen())})
	}
	return p, nil
}
