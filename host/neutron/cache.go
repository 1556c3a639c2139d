package neutron

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"imprint/host/cloud"
)

// times say how long an answer is good for.
type times struct {
	fresh time.Duration // it is served as it is
	old   time.Duration // it is served, and made new in the background
	stale time.Duration // it is served when it cannot be made new
	empty time.Duration // one that is empty is served for so long only
	firm  time.Duration // it is not forgotten so soon
}

// defaultTimes: an address that changes hands is answered for its old owner for
// some seconds at most, unless the metadata service says before that there is
// no such instance.
func defaultTimes() times {
	return times{fresh: 5 * time.Second, old: 10 * time.Second, stale: 5 * time.Minute, empty: time.Second, firm: 2 * time.Second}
}

const (
	maxEntries = 1 << 16
	askTime    = 15 * time.Second
)

// ask finds out what a key stands for.
type ask func(context.Context) ([]cloud.DesiredPort, error)

// cache remembers answers, and asks for each key once at a time. Safe for
// concurrent use.
type cache struct {
	times  times
	now    func() time.Time
	log    *slog.Logger
	flight singleflight.Group
	asking sync.WaitGroup

	mu      sync.Mutex
	entries map[string]entry
}

type entry struct {
	ports []cloud.DesiredPort
	at    time.Time
}

func newCache(t times, now func() time.Time, log *slog.Logger) *cache {
	return &cache{times: t, now: now, log: log, entries: map[string]entry{}}
}

// close waits for what is under way.
func (c *cache) close() { c.asking.Wait() }

// get returns what the key stands for. The slice is shared.
func (c *cache) get(ctx context.Context, key string, f ask) ([]cloud.DesiredPort, error) {
	e, known := c.peek(key)
	age := c.now().Sub(e.at)
	switch {
	case known && len(e.ports) == 0 && age < c.times.empty, known && len(e.ports) > 0 && age < c.times.fresh:
		return e.ports, nil
	case known && len(e.ports) > 0 && age < c.times.old:
		c.start(ctx, key, f)
		return e.ports, nil
	}
	select {
	case r := <-c.start(ctx, key, f):
		if r.Err == nil {
			return r.Val.([]cloud.DesiredPort), nil
		}
		if known && len(e.ports) > 0 && age < c.times.stale {
			c.log.Warn("old answer used, Neutron does not answer", "age", age, "error", r.Err)
			return e.ports, nil
		}
		return nil, r.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// start asks, or joins who asks already. That goes on when ctx ends: others may
// wait for it.
func (c *cache) start(ctx context.Context, key string, f ask) <-chan singleflight.Result {
	c.asking.Add(1)
	joined := make(chan singleflight.Result, 1)
	answer := c.flight.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTime)
		defer cancel()
		ports, err := f(ctx)
		if err == nil {
			c.put(key, ports)
		}
		return ports, err
	})
	go func() {
		defer c.asking.Done()
		joined <- <-answer
	}()
	return joined
}

func (c *cache) put(key string, ports []cloud.DesiredPort) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= maxEntries {
		clear(c.entries)
	}
	c.entries[key] = entry{ports, c.now()}
}

func (c *cache) peek(key string) (entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, known := c.entries[key]
	return e, known
}

// forget drops a key, unless it is new.
func (c *cache) forget(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, known := c.entries[key]
	if !known || c.now().Sub(e.at) < c.times.firm {
		return false
	}
	delete(c.entries, key)
	return true
}
