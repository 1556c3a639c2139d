package metadataagent

import (
	"sync"

	"golang.org/x/time/rate"

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

// DefaultLimits are those of an [Agent] whose configuration has none.
func DefaultLimits() Limits { return Limits{InFlight: 256, PerInstance: 16, Rate: 50, Burst: 400} }

// gate admits requests within the limits.
type gate struct {
	limits Limits
	slots  chan struct{}

	mu      sync.Mutex
	running map[cloud.ServerID]int
	buckets map[string]*rate.Limiter // by port, or by router or network for who is unknown there
}

func newGate(l Limits) *gate {
	return &gate{
		limits: l, slots: make(chan struct{}, l.InFlight),
		running: map[cloud.ServerID]int{}, buckets: map[string]*rate.Limiter{},
	}
}

// spend takes a token from the bucket of key, and reports whether it had one.
func (g *gate) spend(key string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := g.buckets[key]
	if b == nil {
		b = rate.NewLimiter(rate.Limit(g.limits.Rate), g.limits.Burst)
		g.buckets[key] = b
	}
	return b.Allow()
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

// forget drops the buckets of keys that are no longer wanted.
func (g *gate) forget(wanted func(key string) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for key := range g.buckets {
		if !wanted(key) {
			delete(g.buckets, key)
		}
	}
}
