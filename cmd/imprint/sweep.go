package main

import (
	"context"
	"time"

	"imprint/host/cloud"
)

// Blobs that no record names are removed after blobGrace, looked for every
// sweepPause: those of failed requests and of deleted servers and images.
const (
	sweepPause = time.Hour
	blobGrace  = 24 * time.Hour
)

// sweepBlobs removes what no record names any more, until ctx ends.
func (c *controller) sweepBlobs(ctx context.Context) error {
	tick := time.NewTicker(sweepPause)
	defer tick.Stop()
	for {
		named := c.namedBlobs()
		removed, err := c.blobs.Sweep(ctx, time.Now().Add(-blobGrace), func(d cloud.Digest) bool { return named[d] })
		switch {
		case err != nil && ctx.Err() == nil:
			c.log.Warn("blobs not swept", "err", err)
		case removed > 0:
			c.log.Info("blobs removed that nothing names", "number", removed)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// namedBlobs are the blobs that records name.
func (c *controller) namedBlobs() map[cloud.Digest]bool {
	named := map[cloud.Digest]bool{}
	c.store.View(func(m *cloud.Model) {
		for _, i := range m.Images {
			named[i.Blob] = true
		}
		for _, s := range m.Servers {
			named[s.UserData] = true
			for _, f := range s.Files {
				named[f.Blob] = true
			}
		}
	})
	return named
}
