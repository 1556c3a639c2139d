package main

import (
	"context"

	"imprint/host/cloud"
	"imprint/host/plan"
	"imprint/host/store"
)

// planSource plans each node's slice anew whenever the nouns change.
type planSource struct{ store *store.Store }

// Slices meets feed.Source.
func (p planSource) Slices(ctx context.Context, node string) <-chan cloud.Slice {
	out := make(chan cloud.Slice)
	go func() {
		defer close(out)
		for range p.store.Changes(ctx) {
			var slice cloud.Slice
			p.store.View(func(m *cloud.Model) { slice = plan.For(m, node) })
			select {
			case out <- slice:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}
