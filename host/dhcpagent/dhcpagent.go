// Package dhcpagent serves the networks of a node: a namespace each, with the
// network's DHCP port, on which a worker that runs as a user of its own answers
// DHCP of both families and DNS, and, where wanted, the metadata addresses.
// neutron: agent/dhcp, 21.0.0.
//
// Neutron's dnsmasq asks its upstream servers over the network's own gateway;
// here they are asked from the node's own namespace, which reaches them also
// where the network has no way out.
//
// The worker sends the advertisements of the l3 agent's routers too: what comes
// in there is from tenants.
package dhcpagent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"imprint/base/daemon"
	"imprint/host/cloud"
	"imprint/host/fabric"
)

// Config of an [Agent]. The names in brackets are Neutron's.
type Config struct {
	ForceMetadata    bool // [force_metadata] the metadata address on every network
	IsolatedMetadata bool // [enable_isolated_metadata] on networks with a subnet that no router is on
	// MetadataNetwork, with IsolatedMetadata, has the metadata address on
	// networks with a subnet of 169.254.0.0/16, routed or not
	// [enable_metadata_network].
	MetadataNetwork bool
	Domain          string        // [dns_domain] of instances' names; "" tells none
	Lease           time.Duration // [dhcp_lease_duration] 0 is a day, less than 0 for ever
	// DNSServers are asked for names that are not the network's
	// [dnsmasq_dns_servers]; without any, such names are refused.
	DNSServers []netip.AddrPort
	Resync     time.Duration // between repetitions; 0 is a minute; Configure leaves it
}

// Both workers are handed their sockets under the key network/<id>.
const keyPrefix = "network/"

// Workers are the processes that serve what the agent opens.
type Workers struct {
	// DHCP is a [Serve]; it is handed the sockets of DHCP and DNS for each
	// network.
	DHCP daemon.Worker
	// Proxy serves metadata; it is handed the listeners of the metadata
	// addresses, IPv4 and, where the kernel has it, IPv6.
	Proxy daemon.Worker
}

// Agent keeps the networks of a node served as they are wanted.
type Agent struct {
	fabric  *fabric.Fabric
	workers Workers
	log     *slog.Logger
	report  func(cloud.Report)
	loop    daemon.Loop[cloud.Slice]
	up      map[cloud.PortID]bool // as reported

	mu  sync.Mutex
	cfg Config
}

// New returns an agent that is to [Agent.Run]. report is called from Run's
// goroutine with each change of a DHCP port's state, and must not block. A nil
// log discards.
func New(cfg Config, f *fabric.Fabric, w Workers, report func(cloud.Report), log *slog.Logger) *Agent {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if cfg.Resync == 0 {
		cfg.Resync = time.Minute
	}
	a := &Agent{cfg: cfg, fabric: f, workers: w, log: log, report: report, up: map[cloud.PortID]bool{}}
	a.loop = daemon.Loop[cloud.Slice]{Every: cfg.Resync, Retry: time.Second, Log: log, Apply: a.reconcile}
	return a
}

// Update replaces what is wanted; it never blocks and may be called any time.
func (a *Agent) Update(s cloud.Slice) { a.loop.Update(s) }

// Again repeats what is wanted soon, for instance to fill a new worker.
func (a *Agent) Again() { a.loop.Again() }

// Configure replaces the configuration. Safe for concurrent use.
func (a *Agent) Configure(cfg Config) {
	a.mu.Lock()
	a.cfg = cfg
	a.mu.Unlock()
	a.loop.Again()
}

func (a *Agent) config() Config {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cfg
}

// Run keeps the networks as the last Update said until ctx ends, and returns
// nil. What the workers serve goes on without the agent. Before the first
// Update nothing is touched.
func (a *Agent) Run(ctx context.Context) error { return a.loop.Run(ctx) }

// round is one reconciliation.
type round struct {
	*Agent
	cfg   Config
	slice cloud.Slice
	dhcp  *daemon.Holding // nil while the worker is away
	proxy *daemon.Holding // the same
}

// reconcile makes every network what s says and removes the others. A network
// that fails does not stop the next.
func (a *Agent) reconcile(ctx context.Context, s cloud.Slice) error {
	r := round{Agent: a, cfg: a.config(), slice: s}
	var failed, err error
	r.dhcp, failed = daemon.ListHolding(ctx, a.workers.DHCP, keyPrefix)
	r.proxy, err = daemon.ListHolding(ctx, a.workers.Proxy, keyPrefix)
	failed = errors.Join(failed, err)

	ports, dhcp, proxy := map[cloud.PortID]bool{}, map[string]bool{}, map[string]bool{}
	for _, id := range slices.Sorted(maps.Keys(s.Networks)) {
		n := s.Networks[id]
		if n.DHCPPort == "" {
			continue
		}
		key := keyPrefix + string(id)
		ports[n.DHCPPort], dhcp[key], proxy[key] = true, true, len(r.cfg.metadataOn(n)) > 0
		if err := r.ensureNetwork(ctx, n); err != nil {
			failed = errors.Join(failed, fmt.Errorf("network %s: %w", id, err))
		}
	}
	maps.DeleteFunc(a.up, func(id cloud.PortID, _ bool) bool { return !ports[id] })
	return errors.Join(failed, prune(ctx, r.dhcp, dhcp), prune(ctx, r.proxy, proxy),
		a.fabric.Sweep(fabric.DHCP, ports), a.fabric.SweepNamespaces(netnsKind, func(id string) bool {
			return s.Networks[cloud.NetworkID(id)].DHCPPort != ""
		}))
}

func prune(ctx context.Context, h *daemon.Holding, keep map[string]bool) error {
	if h == nil {
		return nil
	}
	return h.Prune(ctx, keep)
}

// netnsKind begins the names of networks' namespaces. neutron:
// agent/linux/dhcp.py NS_PREFIX
const netnsKind = "qdhcp-"

func (a *Agent) namespace(id cloud.NetworkID) string { return a.fabric.Name(netnsKind + string(id)) }

func (a *Agent) setUp(id cloud.PortID, up bool) {
	if was, known := a.up[id]; known && was == up {
		return
	}
	a.up[id] = up
	a.report(cloud.Report{Port: &cloud.PortReport{ID: id, Up: up}})
}
