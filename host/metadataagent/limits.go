package metadataagent

import (
	"cmp"
	"math"
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
	// A port has one bucket for all of its addresses, of both families. It is
	// asked before a request is signed.
	Rate  float64
	Burst int
	// SenderRate and SenderBurst fill the bucket of each address of a router or
	// network, which is asked before the look-up.
	SenderRate  float64
	SenderBurst int
}

// What one port may cause in the log: a burst of lines, far more than a boot
// makes, and then so many a second.
const (
	logRate  = 2
	logBurst = 200
)

// DefaultLimits are those of an [Agent] whose configuration has none.
func DefaultLimits() Limits {
	return Limits{InFlight: 256, PerInstance: 16, Rate: 50, Burst: 400, SenderRate: 50, SenderBurst: 400}
}

func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	return Limits{
		InFlight: cmp.Or(l.InFlight, d.InFlight), PerInstance: cmp.Or(l.PerInstance, d.PerInstance),
		Rate: cmp.Or(l.Rate, d.Rate), Burst: cmp.Or(l.Burst, d.Burst),
		SenderRate: cmp.Or(l.SenderRate, d.SenderRate), SenderBurst: cmp.Or(l.SenderBurst, d.SenderBurst),
	}
}

// maxRetryAfter bounds what a client is told to wait, in seconds.
const maxRetryAfter = 60

// wait is after how many seconds a bucket of the rate has a token again.
func wait(perSecond float64) int {
	return int(min(maxRetryAfter, max(1, math.Ceil(1/perSecond))))
}

// gate admits requests within the limits.
type gate struct {
	limits  Limits
	slots   chan struct{}
	buckets *daemon.Buckets // by port, or by router or network for who is unknown there
	senders *daemon.Buckets // by router or network and address

	mu      sync.Mutex
	running map[cloud.ServerID]int
}

func newGate(l Limits) *gate {
	return &gate{
		limits: l, slots: make(chan struct{}, l.InFlight), running: map[cloud.ServerID]int{},
		buckets: daemon.NewBuckets(l.Rate, l.Burst), senders: daemon.NewBuckets(l.SenderRate, l.SenderBurst),
	}
}

// spend takes a token for a port, or a place.
func (g *gate) spend(key string) *refusal {
	if !g.buckets.Spend(key) {
		return tooMany("Too many requests.", wait(g.limits.Rate))
	}
	return nil
}

// spendSender takes a token for an address of a place.
func (g *gate) spendSender(s cloud.Sender) *refusal {
	if !g.senders.Spend(senderKey(s)) {
		return tooMany("Too many requests.", wait(g.limits.SenderRate))
	}
	return nil
}

func senderKey(s cloud.Sender) string { return s.Place() + " " + s.Addr.String() }

// enter counts a request of an instance in; when refusal is nil, leave counts
// it out again and must be called.
func (g *gate) enter(id cloud.ServerID) (leave func(), refusal *refusal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running[id] >= g.limits.PerInstance {
		return nil, tooMany("Too many requests at once.", 1)
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
