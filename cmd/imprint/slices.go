package main

import (
	"context"
	"encoding/json"
	"time"

	"imprint/base/openstack"
	"imprint/host/cloud"
	"imprint/host/feed"
	"imprint/host/metadata"
	"imprint/host/plan"
)

// planSource plans each node's slice anew whenever the nouns change, or what
// the index tells of them.
type planSource struct {
	nouns metadata.Nouns
	index documents
	// joined, unless nil, is called when a peer begins to be fed, until it
	// returns nil.
	joined func(context.Context, feed.Peer) error
}

// documents are what servers are told; metadata.Index meets it.
type documents interface {
	Instance(cloud.ServerID) (*openstack.Instance, error)
	DriveGeneration(cloud.ServerID) int64
	Changes(context.Context) <-chan struct{}
}

// Slices meets feed.Source.
func (p planSource) Slices(ctx context.Context, peer feed.Peer) <-chan cloud.Slice {
	out := make(chan cloud.Slice)
	go func() {
		defer close(out)
		p.join(ctx, peer)
		drives := drives{index: p.index}
		nouns, told := p.nouns.Changes(ctx), p.index.Changes(ctx)
		for {
			open := true
			select {
			case _, open = <-nouns:
			case _, open = <-told:
			}
			if !open {
				return
			}
			var slice cloud.Slice
			p.nouns.View(func(m *cloud.Model) { slice = plan.For(m, peer.Node) })
			slice = plan.Only(slice, peer.Parts.Network, peer.Parts.Compute, peer.Parts.Metadata)
			drives.fill(slice)
			select {
			case out <- slice:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// join tells that peer is fed, in the background if it takes more than one
// attempt: a store that is away keeps no node from what is known.
func (p planSource) join(ctx context.Context, peer feed.Peer) {
	if p.joined == nil || p.joined(ctx, peer) == nil {
		return
	}
	go func() {
		tick := time.NewTicker(storeRetry)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if p.joined(ctx, peer) == nil {
				return
			}
		}
	}()
}

// drives puts the documents of config drives into a node's slices. What the
// index does not know yet stays out: its next change brings it. So do documents
// that are older than the last request to make the drive anew: no instance is
// rebuilt with those of before.
type drives struct {
	index documents
	last  map[cloud.ServerID]drive // of the slice before
}

// drive is an instance in its JSON form.
type drive struct {
	of   *openstack.Instance
	form json.RawMessage
}

func (d *drives) fill(s cloud.Slice) {
	next := map[cloud.ServerID]drive{}
	for id, inst := range s.Instances {
		if !inst.ConfigDrive {
			continue
		}
		if d.index.DriveGeneration(id) < inst.DriveGeneration {
			continue
		}
		told, err := d.index.Instance(id)
		if err != nil {
			continue
		}
		one := d.last[id]
		if one.of != told {
			one = drive{told, told.Encode()}
		}
		next[id] = one
		inst.Drive = one.form
		s.Instances[id] = inst
	}
	d.last = next
}
