// Package l3agent runs a node's routers: a namespace each, with the gateways
// of its subnets, forwarding between them, advertisements to IPv6 instances,
// address translation at a gateway to an external network, and the way to the
// metadata service. neutron: agent/l3, 21.0.0.
package l3agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"imprint/base/daemon"
	"imprint/base/dhcp"
	"imprint/host/cloud"
	"imprint/host/fabric"
)

// MetadataPort is where a router's metadata proxy listens unless configured.
// neutron: conf/agent/l3/config.py metadata_port
const MetadataPort = 9697

// Config of an [Agent]; the zero value has the defaults.
type Config struct {
	MetadataPort uint16 // 0 is [MetadataPort]
	// DHCPMetadata says that DHCP ports have the IPv6 metadata address
	// [force_metadata or enable_isolated_metadata]. Else routers have it.
	DHCPMetadata bool
	Resync       time.Duration // between repetitions; 0 is a minute; Configure leaves it
}

// Workers are the processes that serve what the agent opens.
type Workers struct {
	// Proxy serves metadata. It is handed one TCP listener, of both address
	// families, for each router, under the key router/<id>.
	Proxy daemon.Worker
	// Advertiser sends router advertisements. It is handed a socket of
	// [dhcp.OpenAdvertiser] for each leg that advertises, under
	// [dhcp.AdvertisementKey] and the port's id, with a [dhcp.Advertisement].
	Advertiser daemon.Worker
}

// complete fills in the defaults.
func (c Config) complete() Config {
	c.MetadataPort = cmp.Or(c.MetadataPort, MetadataPort)
	c.Resync = cmp.Or(c.Resync, time.Minute)
	return c
}

// keyPrefix of what the agent hands to the proxy.
const keyPrefix = "router/"

// Agent keeps the routers of a node as they are wanted.
type Agent struct {
	fabric  *fabric.Fabric
	workers Workers
	log     *slog.Logger
	report  func(cloud.Report)
	loop    daemon.Loop[cloud.Slice]
	up      map[cloud.PortID]bool // as reported
	told    map[cloud.PortID]leg  // as announced
	fresh   []leg                 // to be announced after this pass
	tell    sync.WaitGroup        // announcements under way

	mu  sync.Mutex
	cfg Config
}

// New returns an agent that is to [Agent.Run]. report is called from Run's
// goroutine with each change of a port's state, and must not block. A nil log
// discards.
func New(cfg Config, f *fabric.Fabric, w Workers, report func(cloud.Report), log *slog.Logger) *Agent {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	cfg = cfg.complete()
	a := &Agent{cfg: cfg, fabric: f, workers: w, log: log, report: report, up: map[cloud.PortID]bool{}, told: map[cloud.PortID]leg{}}
	a.loop = daemon.Loop[cloud.Slice]{Every: cfg.Resync, Retry: time.Second, Log: log, Apply: a.reconcile}
	return a
}

// Update replaces what is wanted; it never blocks and may be called any time.
func (a *Agent) Update(s cloud.Slice) { a.loop.Update(s) }

// Again repeats what is wanted soon, for instance to fill a new proxy.
func (a *Agent) Again() { a.loop.Again() }

// Configure replaces the configuration. Safe for concurrent use.
func (a *Agent) Configure(cfg Config) {
	a.mu.Lock()
	a.cfg = cfg.complete()
	a.mu.Unlock()
	a.loop.Again()
}

func (a *Agent) config() Config {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cfg
}

// Run keeps the routers as the last Update said until ctx ends, and returns
// nil. The routers stay: they go on without the agent. Before the first Update
// nothing is touched.
func (a *Agent) Run(ctx context.Context) error {
	defer a.tell.Wait()
	return a.loop.Run(ctx)
}

// round is one reconciliation.
type round struct {
	*Agent
	cfg        Config
	slice      cloud.Slice
	proxy      *daemon.Holding // nil while the worker is away
	advertiser *daemon.Holding // the same
	ports      map[cloud.PortID]bool
	routers    map[string]bool          // keys that the proxy is to hold
	adverts    map[string]bool          // keys that the advertiser is to hold
	dhcp       map[cloud.NetworkID]bool // networks with a DHCP port
}

// reconcile makes every router what s says and removes the others. A router
// that fails does not stop the next.
func (a *Agent) reconcile(ctx context.Context, s cloud.Slice) error {
	r := round{Agent: a, cfg: a.config(), slice: s, ports: map[cloud.PortID]bool{}, routers: map[string]bool{}, adverts: map[string]bool{}, dhcp: map[cloud.NetworkID]bool{}}
	for _, p := range s.Ports {
		if p.Owner == cloud.OwnerDHCP {
			r.dhcp[p.NetworkID] = true
		}
	}
	var failed, err error
	r.proxy, failed = daemon.ListHolding(ctx, a.workers.Proxy, keyPrefix)
	r.advertiser, err = daemon.ListHolding(ctx, a.workers.Advertiser, dhcp.AdvertisementKey)
	failed = errors.Join(failed, err)
	for _, id := range slices.Sorted(maps.Keys(s.Routers)) {
		r.routers[keyPrefix+string(id)] = true
		here, _ := legs(s, s.Routers[id])
		for _, p := range here {
			r.ports[p.ID] = true
		}
		if err := r.ensureRouter(ctx, s.Routers[id]); err != nil {
			failed = errors.Join(failed, fmt.Errorf("router %s: %w", id, err))
		}
	}
	failed = errors.Join(failed, prune(ctx, r.proxy, r.routers), prune(ctx, r.advertiser, r.adverts))
	maps.DeleteFunc(a.up, func(id cloud.PortID, _ bool) bool { return !r.ports[id] })
	maps.DeleteFunc(a.told, func(id cloud.PortID, _ leg) bool { return !r.ports[id] })
	failed = errors.Join(failed, a.fabric.Sweep(fabric.Router, r.ports), a.fabric.SweepNamespaces(netnsKind, func(id string) bool {
		_, wanted := s.Routers[cloud.RouterID(id)]
		return wanted
	}))
	if fresh := a.fresh; len(fresh) > 0 { // after the sweep: the old leg is gone
		a.fresh = nil
		a.tell.Go(func() { a.announce(ctx, fresh) })
	}
	return failed
}

func prune(ctx context.Context, h *daemon.Holding, keep map[string]bool) error {
	if h == nil {
		return nil
	}
	return h.Prune(ctx, keep)
}

// netnsKind begins the names of routers' namespaces. neutron:
// agent/l3/namespaces.py
const netnsKind = "qrouter-"

func (a *Agent) namespace(id cloud.RouterID) string { return a.fabric.Name(netnsKind + string(id)) }

func (a *Agent) setUp(id cloud.PortID, up bool) {
	if was, known := a.up[id]; known && was == up {
		return
	}
	a.up[id] = up
	a.report(cloud.Report{Port: &cloud.PortReport{ID: id, Up: up}})
}
