package metadata

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"imprint/base/openstack"
	"imprint/host/cloud"
)

// Nouns is the model and word of its changes.
type Nouns interface {
	// View calls f with the model, which does not change meanwhile.
	View(f func(*cloud.Model))
	// Changes returns a channel that receives once at the start and then
	// whenever the model has changed since the last receive. It is closed when
	// ctx ends, or earlier when there will be no more changes.
	Changes(ctx context.Context) <-chan struct{}
}

// Blobs holds user data and injected files by digest. ReadAll returns a blob
// whole, checked against its digest; more than limit bytes is an error. Errors
// may be worth a retry.
type Blobs interface {
	ReadAll(d cloud.Digest, limit int64) ([]byte, error)
}

// MaxUserData bounds the user data of one server in bytes, as Nova's API does
// (65535 characters of base64). nova: api/openstack/compute/schemas/servers.py.
// An injected file may not be larger either.
const MaxUserData = 65535

const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// Index keeps what every server is told. [Index.Instance] is safe for
// concurrent use; it never waits.
type Index struct {
	site  Site
	nouns Nouns
	blobs Blobs
	log   *slog.Logger

	ready     chan struct{}
	published atomic.Pointer[map[cloud.ServerID]entry] // nil until first filled
	loaded    map[cloud.Digest][]byte                  // blobs; of Run alone

	mu       sync.Mutex
	watchers map[chan struct{}]bool
}

// entry is a server's place in the index. instance is nil while one of the
// server's blobs could not be read.
type entry struct {
	facts    facts
	instance *openstack.Instance
}

// NewIndex returns an index that is empty until [Index.Run] runs. A nil log
// discards.
func NewIndex(site Site, nouns Nouns, blobs Blobs, log *slog.Logger) *Index {
	return &Index{
		site: site, nouns: nouns, blobs: blobs, log: orDiscard(log),
		ready: make(chan struct{}), loaded: map[cloud.Digest][]byte{}, watchers: map[chan struct{}]bool{},
	}
}

// Ready is closed when the index has been filled for the first time.
func (x *Index) Ready() <-chan struct{} { return x.ready }

// Instance returns what server id is told; it is shared and must not be
// changed. The error is [cloud.ErrNotFound], or of kind [cloud.Unavailable]
// while the index, or what the server was given, is not yet loaded.
func (x *Index) Instance(id cloud.ServerID) (*openstack.Instance, error) {
	all := x.published.Load()
	if all == nil {
		return nil, cloud.Errorf(cloud.Unavailable, "The metadata is not loaded yet.")
	}
	e, ok := (*all)[id]
	switch {
	case !ok:
		return nil, cloud.ErrNotFound
	case e.instance == nil:
		return nil, cloud.Errorf(cloud.Unavailable, "The user data and files of the instance are not loaded yet.")
	}
	return e.instance, nil
}

// DriveGeneration is that of the record from which server id's documents are
// made: whoever asks before [Index.Instance] gets documents of it, or younger.
func (x *Index) DriveGeneration(id cloud.ServerID) int64 {
	all := x.published.Load()
	if all == nil || (*all)[id].instance == nil {
		return 0
	}
	return (*all)[id].facts.server.DriveGeneration
}

// Run follows the changes until ctx ends, and returns nil. When the changes
// end first, the index stays as it is.
func (x *Index) Run(ctx context.Context) error {
	changes := x.nouns.Changes(ctx)
	pause := firstRetry
	retry := time.NewTimer(pause)
	retry.Stop()
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, open := <-changes:
			if !open {
				changes = nil
				continue
			}
		case <-retry.C:
		}
		if complete := x.refresh(); complete {
			pause = firstRetry
			continue
		}
		retry.Reset(pause)
		pause = min(2*pause, lastRetry)
	}
}

// refresh publishes the present state, and reports whether all blobs are
// there. Servers with blobs to read follow those without.
func (x *Index) refresh() bool {
	var present []facts
	x.nouns.View(func(m *cloud.Model) {
		for _, s := range m.Servers {
			present = append(present, factsOf(m, s))
		}
	})
	old := map[cloud.ServerID]entry{}
	if p := x.published.Load(); p != nil {
		old = *p
	} else {
		defer close(x.ready)
	}
	next := make(map[cloud.ServerID]entry, len(present))
	var waiting []facts
	for _, f := range present {
		e := old[f.server.ServerID]
		if e.instance == nil || !e.facts.same(f) {
			e = x.build(f)
		}
		if e.instance == nil {
			waiting = append(waiting, f)
		}
		next[f.server.ServerID] = e
	}
	x.forget(present)
	x.publish(next)
	return len(waiting) == 0 || x.load(next, waiting)
}

// build makes f's entry; its instance is nil when a blob is not loaded.
func (x *Index) build(f facts) entry {
	for _, d := range f.blobs() {
		if _, loaded := x.loaded[d]; !loaded {
			return entry{facts: f}
		}
	}
	return entry{f, f.instance(x.site, x.loaded)}
}

// load reads blobs and publishes the servers that waited for them.
func (x *Index) load(present map[cloud.ServerID]entry, waiting []facts) bool {
	failed := map[cloud.Digest]bool{}
	next := maps.Clone(present)
	for _, f := range waiting {
		for _, d := range f.blobs() {
			if _, loaded := x.loaded[d]; loaded || failed[d] {
				continue
			}
			data, err := x.blobs.ReadAll(d, MaxUserData)
			if err != nil {
				failed[d] = true
				x.log.Warn("user data or file not read", "server_id", f.server.ServerID, "waiting", len(waiting), "error", err)
				continue
			}
			x.loaded[d] = data
		}
		next[f.server.ServerID] = x.build(f)
	}
	x.publish(next)
	return len(failed) == 0
}

// forget drops blobs that no server needs any more.
func (x *Index) forget(present []facts) {
	used := make(map[cloud.Digest]bool, len(present))
	for _, f := range present {
		for _, d := range f.blobs() {
			used[d] = true
		}
	}
	maps.DeleteFunc(x.loaded, func(d cloud.Digest, _ []byte) bool { return !used[d] })
}

func orDiscard(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}
