// Package l3agent runs a node's routers: a namespace each, with the gateways
// of its subnets, forwarding between them, and the way to the metadata
// service. neutron: agent/l3, 21.0.0.
package l3agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"imprint/base/daemon"
	"imprint/host/cloud"
	"imprint/host/fabric"
)

// MetadataPort is where a router's metadata proxy listens unless configured.
// neutron: conf/agent/l3/config.py metadata_port
const MetadataPort = 9697

// Config of an [Agent]; the zero value has the defaults.
type Config struct {
	MetadataPort uint16        // 0 is [MetadataPort]
	Resync       time.Duration // between repetitions; 0 is a minute
}

// Proxy is the worker that serves the routers' metadata listeners. It is
// handed one TCP listener, of both address families, for each router, under
// the key router/<id>.
type Proxy = daemon.Worker

// keyPrefix of what the agent hands to the proxy.
const keyPrefix = "router/"

// Agent keeps the routers of a node as they are wanted.
type Agent struct {
	cfg    Config
	fabric *fabric.Fabric
	proxy  Proxy
	log    *slog.Logger
	report func(cloud.Report)
	loop   daemon.Loop[cloud.Slice]
	up     map[cloud.PortID]bool // as reported
	index  map[cloud.PortID]int  // of each leg's link, as announced
	fresh  []leg                 // made by this pass
	tell   sync.WaitGroup        // announcements under way
}

// New returns an agent that is to [Agent.Run]. report is called from Run's
// goroutine with each change of a port's state, and must not block. A nil log
// discards.
func New(cfg Config, f *fabric.Fabric, proxy Proxy, report func(cloud.Report), log *slog.Logger) *Agent {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if cfg.MetadataPort == 0 {
		cfg.MetadataPort = MetadataPort
	}
	if cfg.Resync == 0 {
		cfg.Resync = time.Minute
	}
	a := &Agent{cfg: cfg, fabric: f, proxy: proxy, log: log, report: report, up: map[cloud.PortID]bool{}, index: map[cloud.PortID]int{}}
	a.loop = daemon.Loop[cloud.Slice]{Every: cfg.Resync, Retry: time.Second, Log: log, Apply: a.reconcile}
	return a
}

// Update replaces what is wanted; it never blocks and may be called any time.
func (a *Agent) Update(s cloud.Slice) { a.loop.Update(s) }

// Again repeats what is wanted soon, for instance to fill a new proxy.
func (a *Agent) Again() { a.loop.Again() }

// Run keeps the routers as the last Update said until ctx ends, and returns
// nil. The routers stay: they go on without the agent. Before the first Update
// nothing is touched.
func (a *Agent) Run(ctx context.Context) error {
	defer a.tell.Wait()
	return a.loop.Run(ctx)
}

// reconcile makes every router what s says and removes the others. A router
// that fails does not stop the next.
func (a *Agent) reconcile(ctx context.Context, s cloud.Slice) error {
	held, failed := daemon.ListHolding(ctx, a.proxy, keyPrefix)
	ports, keys := map[cloud.PortID]bool{}, map[string]bool{}
	for _, id := range slices.Sorted(maps.Keys(s.Routers)) {
		keys[keyPrefix+string(id)] = true
		here, _ := legs(s, s.Routers[id])
		for _, p := range here {
			ports[p.ID] = true
		}
		if err := a.ensureRouter(ctx, s, s.Routers[id], held); err != nil {
			failed = errors.Join(failed, fmt.Errorf("router %s: %w", id, err))
		}
	}
	if held != nil {
		failed = errors.Join(failed, held.Prune(ctx, keys))
	}
	maps.DeleteFunc(a.up, func(id cloud.PortID, _ bool) bool { return !ports[id] })
	maps.DeleteFunc(a.index, func(id cloud.PortID, _ int) bool { return !ports[id] })
	failed = errors.Join(failed, a.fabric.Sweep(fabric.Router, ports), a.fabric.SweepNamespaces(netnsKind, func(id string) bool {
		_, wanted := s.Routers[cloud.RouterID(id)]
		return wanted
	}))
	if fresh := a.fresh; len(fresh) > 0 { // after the sweep: the old leg is gone
		a.fresh = nil
		a.tell.Go(func() { a.announce(ctx, fresh) })
	}
	return failed
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
