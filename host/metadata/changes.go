package metadata

import "context"

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

func (x *Index) tellWatchers() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for c := range x.watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
