// Package computeagent realises the instances that a node is to run.
//
// It gets the node's slice of desired state as a value, compares each instance
// with what its driver says, and starts, stops, reboots and removes it. What
// became of it goes back as reports. Each instance has a goroutine of its own,
// so that one that is slow or fails holds up no other.
package computeagent

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"imprint/host/cloud"
	"imprint/host/configdrive"
	"imprint/host/fabric"
)

// Driver runs instances of one kind; host/container's meets it. It is called
// for one instance by one goroutine at a time, Exited excepted, and for
// different instances at the same time.
type Driver interface {
	// Start boots an instance from its disk, which it makes if there is none,
	// on the root file system tree, with the config drive disk.config if its
	// folder has one. It calls plug with the network namespace
	// before anything runs in it. After an error nothing runs.
	Start(ctx context.Context, inst cloud.DesiredInstance, tree string, plug func(netns *os.File) error) error
	// Stop halts an instance, by force after grace; 0 is by force at once. One
	// that does not run is no error.
	Stop(ctx context.Context, id cloud.ServerID, grace time.Duration) error
	// Destroy stops an instance by force and removes its folder. One that does
	// not exist is no error.
	Destroy(ctx context.Context, id cloud.ServerID) error
	// Status is InstanceBuilding before the first start, InstanceActive,
	// InstanceStopped after an end in order, InstanceError after one by
	// accident; and the time of the last start.
	Status(id cloud.ServerID) (cloud.InstanceState, time.Time, error)
	// NetNS opens the network namespace of an instance that runs.
	NetNS(id cloud.ServerID) (*os.File, error)
	// Exited returns nil when the instance does not run.
	Exited(ctx context.Context, id cloud.ServerID) error
	// List returns the instances that have a folder.
	List() ([]cloud.ServerID, error)
}

// Ports plugs ports; [fabric.Fabric] meets it. Safe for concurrent use.
type Ports interface {
	// Plug connects a port, or repairs one that is connected.
	Plug(fabric.Plug) error
	// Unplug disconnects a port; one that is not connected is no error.
	Unplug(cloud.PortID) error
	// Sweep disconnects all ports of a class but some.
	Sweep(class fabric.Class, keep map[cloud.PortID]bool) error
}

// Config sets up an [Agent]. Driver, Ports, Report and Dir are needed.
type Config struct {
	Driver Driver
	Ports  Ports
	// Report takes what is to be told. It must not block and be safe for
	// concurrent use.
	Report func(cloud.Report)
	// Dir holds the folders of the instances: the driver's. The agent's own
	// files in each are instance.json and the config drive, disk.config.
	Dir string
	// Drive says how config drives are made; their Created is the time of it.
	Drive configdrive.Volume
	// RefreshDrives has a drive whose documents have changed made anew when its
	// instance boots; otherwise it is only when that is asked for.
	RefreshDrives bool
	// Trees are the root file systems that instances may name, name:
	// directory. The name host is the driver's own.
	Trees map[string]string
	// Grace is how long an instance may take to halt; 0 means 20 s.
	Grace time.Duration
	// StartTimeout bounds a start; 0 means 60 s.
	StartTimeout time.Duration
	// Starts bounds how many instances start at the same time; 0 means 4.
	Starts int
	// KeepInstances is asked when the agent ends: true leaves the instances
	// running, to be adopted by the next. Nil is false.
	KeepInstances func() bool
	Log           *slog.Logger // nil discards
}

// Agent looks after the instances of a node.
type Agent struct {
	config Config
	log    *slog.Logger
	starts chan struct{} // holds a token for each start under way

	mu      sync.Mutex
	slice   *cloud.Slice // nil before the first
	changed chan struct{}
	workers map[cloud.ServerID]*worker
	running sync.WaitGroup
}

// New returns an agent that does nothing before [Agent.Run].
func New(c Config) *Agent {
	if c.Grace == 0 {
		c.Grace = 20 * time.Second
	}
	if c.StartTimeout == 0 {
		c.StartTimeout = time.Minute
	}
	if c.Starts == 0 {
		c.Starts = 4
	}
	if c.KeepInstances == nil {
		c.KeepInstances = func() bool { return false }
	}
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Agent{
		config: c, log: log, starts: make(chan struct{}, c.Starts),
		changed: make(chan struct{}, 1), workers: map[cloud.ServerID]*worker{},
	}
}

// Apply takes a new slice, which replaces the one before and is not altered.
// It returns at once. Safe for concurrent use, before Run and during it.
func (a *Agent) Apply(s cloud.Slice) {
	a.mu.Lock()
	a.slice = &s
	a.mu.Unlock()
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// Run realises slices until ctx ends, then stops what runs, unless
// KeepInstances says so, and returns nil. Before the first slice it touches nothing:
// instances that run already go on. After it, folders, instances and ports
// that the slice does not have are removed.
func (a *Agent) Run(ctx context.Context) error {
	ids, err := a.config.Driver.List()
	if err != nil {
		return fmt.Errorf("compute agent: %w", err)
	}
	defer a.running.Wait()
	a.ensure(ctx, ids)
	swept := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.changed:
		}
		a.mu.Lock()
		slice := *a.slice
		a.mu.Unlock()
		if !swept {
			swept = a.sweepPorts(slice)
		}
		a.ensure(ctx, instanceIDs(slice))
		a.wakeAll()
	}
}

// ensure starts workers for those that have none.
func (a *Agent) ensure(ctx context.Context, ids []cloud.ServerID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range ids {
		if a.workers[id] != nil {
			continue
		}
		w := newWorker(a, id)
		a.workers[id] = w
		a.running.Go(func() { w.run(ctx) })
	}
}

func (a *Agent) wakeAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, w := range a.workers {
		w.wake()
	}
}

// retire removes a worker that has nothing left to do; false means that its
// instance is wanted again.
func (a *Agent) retire(w *worker) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if d, ok := a.slice.Instances[w.id]; ok && !d.Deleting {
		return false
	}
	delete(a.workers, w.id)
	return true
}

// sweepPorts disconnects instances' ports that the slice does not have.
func (a *Agent) sweepPorts(s cloud.Slice) bool {
	keep := map[cloud.PortID]bool{}
	for _, inst := range s.Instances {
		for _, id := range inst.Ports {
			keep[id] = true
		}
	}
	if err := a.config.Ports.Sweep(fabric.Instance, keep); err != nil {
		a.log.Warn("ports of earlier instances are left", "error", err)
		return false
	}
	return true
}

func instanceIDs(s cloud.Slice) []cloud.ServerID {
	ids := make([]cloud.ServerID, 0, len(s.Instances))
	for id := range s.Instances {
		ids = append(ids, id)
	}
	return ids
}
