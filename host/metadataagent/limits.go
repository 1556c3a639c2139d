package metadataagent

import (
	"sync"

	"imprint/base/daemon"
	"imprint/host/cloud"
)

// Limits bound what instances can ask. A normal boot stays far below the
// defaults: the real cloud-init makes some dozen requests, one after another.
type Limits struct {
	// InFlight is how many requests are forwarded at a time, of all instances.
	InFlight int
	// PerInstance is how many of them one instance may have.
	PerInstance int
	// Rate and Burst fill the bucket of each port, in requests (per second).
	Rate  float64
	Burst int
}

// What one port may cause in the log: a burst of lines, far more than a boot
// makes, and then so many a second.
const (
	logRate  = 2
	logBurst = 200
)

// DefaultLimits are those of an [Agent] whose configuration has none.
func DefaultLimits() Limits { return Limits{InFlight: 256, PerInstance: 16, Rate: 50, Burst: 400} }

// gate admits requests within the limits.
type gate struct {
	limits  Limits
	slots   chan struct{}
	buckets *daemon.Buckets // by port, or by router or network for who is unknown there

	mu      sync.Mutex
	running map[cloud.ServerID]int
}

func newGate(l Limits) *gate {
	return &gate{
		limits: l, slots: make(chan struct{}, l.InFlight),
		running: map[cloud.ServerID]int{}, buckets: daemon.NewBuckets(l.Rate, l.Burst),
	}
}

// enter counts a request of an instance in; when refusal is nil, leave counts
// it out again and must be called.
func (g *gate) enter(id cloud.ServerID) (leave func(), refusal *refusal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running[id] >= g.limits.PerInstance {
		return nil, tooMany("Too many requests at once.")
	}
	select {
	case g.slots <- struct{}{}:
	default:
		return nil, unavailable("The metadata agent is busy.")
	}
	g.running[id]++
	return func() { g.leave(id) }, nil
}

func (g *gate) leave(id cloud.ServerID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running[id]--; g.running[id] == 0 {
		delete(g.running, id)
	}
	<-g.slots
}
