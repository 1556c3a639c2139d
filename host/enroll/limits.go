package enroll

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limits on requests for certificates: of one address (or IPv6 network of
// length 64), and at once.
const (
	requestEvery = time.Second
	requestBurst = 20
	atOnce       = 8
	placeTimeout = 10 * time.Second
	maxAddresses = 4096
)

// limits keeps the desk from being flooded. Safe for concurrent use.
type limits struct {
	now    func() time.Time
	places chan struct{}

	mu    sync.Mutex
	rates map[netip.Prefix]*rate.Limiter // while not full
}

func newLimits(now func() time.Time) *limits {
	return &limits{now: now, places: make(chan struct{}, atOnce), rates: map[netip.Prefix]*rate.Limiter{}}
}

// enter waits a while for one of the places; leave gives it back.
func (l *limits) enter(ctx context.Context) (leave func(), ok bool) {
	ctx, cancel := context.WithTimeout(ctx, placeTimeout)
	defer cancel()
	select {
	case l.places <- struct{}{}:
		return func() { <-l.places }, true
	case <-ctx.Done():
		return nil, false
	}
}

// allow counts a request from an address.
func (l *limits) allow(from netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	r := l.rates[from]
	if r == nil {
		if len(l.rates) >= maxAddresses {
			l.forget(now)
		}
		r = rate.NewLimiter(rate.Every(requestEvery), requestBurst)
		l.rates[from] = r
	}
	return r.AllowN(now, 1)
}

// forget drops the addresses that have been quiet, and any when all are busy.
func (l *limits) forget(now time.Time) {
	for from, r := range l.rates {
		if r.TokensAt(now) >= requestBurst {
			delete(l.rates, from)
		}
	}
	for from := range l.rates {
		if len(l.rates) < maxAddresses {
			return
		}
		delete(l.rates, from)
	}
}

// networkOf returns who counts as one; what is no address counts as one too.
func networkOf(remote string) netip.Prefix {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
