package metadata

import (
	"context"
	"log/slog"
	"maps"
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

// Blobs holds user data by digest. ReadAll returns a blob whole, checked
// against its digest; more than limit bytes is an error. Errors may be worth a
// retry.
type Blobs interface {
	ReadAll(d cloud.Digest, limit int64) ([]byte, error)
}

// MaxUserData bounds the user data of one server in bytes, as Nova's API does
// (65535 characters of base64). nova: api/openstack/compute/schemas/servers.py.
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
	userData  map[cloud.Digest][]byte                  // of Run alone
}

// entry is a server's place in the index. instance is nil while the server's
// user data could not be read.
type entry struct {
	facts    facts
	instance *openstack.Instance
}

// NewIndex returns an index that is empty until [Index.Run] runs. A nil log
// discards.
func NewIndex(site Site, nouns Nouns, blobs Blobs, log *slog.Logger) *Index {
	return &Index{
		site: site, nouns: nouns, blobs: blobs, log: orDiscard(log),
		ready: make(chan struct{}), userData: map[cloud.Digest][]byte{},
	}
}

// Ready is closed when the index has been filled for the first time.
func (x *Index) Ready() <-chan struct{} { return x.ready }

// Instance returns what server id is told; it is shared and must not be
// changed. The error is [cloud.ErrNotFound], or of kind [cloud.Unavailable]
// while the index, or the server's user data, is not yet loaded.
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
		return nil, cloud.Errorf(cloud.Unavailable, "The user data of the instance is not loaded yet.")
	}
	return e.instance, nil
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

// refresh publishes the present state, and reports whether all user data is
// there. Servers with user data to read follow those without.
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
	wanted := map[cloud.Digest][]facts{}
	for _, f := range present {
		e := old[f.server.ServerID]
		if e.instance == nil || !e.facts.same(f) {
			e = x.build(f)
		}
		if e.instance == nil {
			wanted[f.server.UserData] = append(wanted[f.server.UserData], f)
		}
		next[f.server.ServerID] = e
	}
	x.forget(present)
	x.published.Store(&next)
	return len(wanted) == 0 || x.load(next, wanted)
}

// build makes f's entry; its instance is nil when its user data is not loaded.
func (x *Index) build(f facts) entry {
	userData, loaded := x.userData[f.server.UserData]
	if f.server.UserData != "" && !loaded {
		return entry{facts: f}
	}
	return entry{f, f.instance(x.site, userData)}
}

// load reads user data and publishes the servers that waited for it.
func (x *Index) load(present map[cloud.ServerID]entry, wanted map[cloud.Digest][]facts) bool {
	complete := true
	next := maps.Clone(present)
	for digest, waiting := range wanted {
		data, err := x.blobs.ReadAll(digest, MaxUserData)
		if err != nil {
			complete = false
			x.log.Warn("user data not read", "server_id", waiting[0].server.ServerID, "servers", len(waiting), "error", err)
			continue
		}
		x.userData[digest] = data
		for _, f := range waiting {
			next[f.server.ServerID] = x.build(f)
		}
	}
	x.published.Store(&next)
	return complete
}

// forget drops user data that no server has any more.
func (x *Index) forget(present []facts) {
	used := make(map[cloud.Digest]bool, len(present))
	for _, f := range present {
		used[f.server.UserData] = true
	}
	for d := range x.userData {
		if !used[d] {
			delete(x.userData, d)
		}
	}
}

func orDiscard(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}
