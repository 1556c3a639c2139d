package metadata

import (
	"context"
	"maps"

	"imprint/host/cloud"
)

// Changes returns a channel that receives once at the start and then whenever
// what some server is told may have changed since the last receive. It is
// closed when ctx ends.
func (x *Index) Changes(ctx context.Context) <-chan struct{} {
	c := make(chan struct{}, 1)
	c <- struct{}{}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.watchers[c] = true
	context.AfterFunc(ctx, func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		delete(x.watchers, c)
		close(c)
	})
	return c
}

// publish makes next what is told, and has the watchers look if that is
// anything new.
func (x *Index) publish(next map[cloud.ServerID]entry) {
	old := x.published.Swap(&next)
	if old != nil && maps.EqualFunc(*old, next, func(a, b entry) bool { return a.instance == b.instance }) {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for c := range x.watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
