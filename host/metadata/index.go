package metadata

import (
	"context"
	"log/slog"
	"net/netip"
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

// Index keeps what every server is told: of each server the records that its
// documents are made of and the bytes that it was given; documents are
// rendered on first use into a cache of [Site.CacheBytes]. A change costs as
// much as the servers that it touches. It is safe for concurrent use; only
// [Index.Run] waits.
type Index struct {
	nouns Nouns
	log   *slog.Logger
	cache *cache
	ready chan struct{}
	site  atomic.Pointer[siteData]
	lag   atomic.Int64 // nanoseconds

	// Of Run alone.
	blobs blobs
	seen  uint64 // of the model's changes
	users map[cloud.PortID]cloud.ServerID

	mu        sync.RWMutex
	filled    bool
	entries   map[cloud.ServerID]*entry
	addresses addresses
	watchers  map[chan struct{}]bool
}

// NewIndex returns an index that is empty until [Index.Run] runs. A nil log
// discards.
func NewIndex(site Site, nouns Nouns, from Blobs, log *slog.Logger) *Index {
	x := &Index{
		nouns: nouns, log: orDiscard(log), cache: newCache(site.cacheBytes()), ready: make(chan struct{}),
		blobs: blobs{from: from, held: map[cloud.Digest]*blob{}},
		users: map[cloud.PortID]cloud.ServerID{}, entries: map[cloud.ServerID]*entry{},
		addresses: newAddresses(site.Addresses), watchers: map[chan struct{}]bool{},
	}
	x.site.Store(&siteData{Site: site})
	return x
}

// Ready is closed when the index has been filled for the first time.
func (x *Index) Ready() <-chan struct{} { return x.ready }

// Lag is how long the last change took from its commit until it was told.
func (x *Index) Lag() time.Duration { return time.Duration(x.lag.Load()) }

// Len is the number of servers.
func (x *Index) Len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.entries)
}

// SetVendorData replaces the site's static vendor data.
func (x *Index) SetVendorData(v openstack.VendorData) {
	next := *x.site.Load()
	next.VendorData = v
	x.site.Store(&next)
	x.tellWatchers()
}

// Instance returns what server id is told; it is shared and must not be
// changed. Errors are those of [Index.Told].
func (x *Index) Instance(id cloud.ServerID) (*openstack.Instance, error) {
	t, err := x.Told(id)
	if err != nil {
		return nil, err
	}
	return t.instance, nil
}

// Told meets [Instances]. The error is [cloud.ErrNotFound], or of kind
// [cloud.Unavailable] while the index, or what the server was given, is not
// yet loaded.
func (x *Index) Told(id cloud.ServerID) (*Told, error) {
	x.mu.RLock()
	e, filled := x.entries[id], x.filled
	x.mu.RUnlock()
	switch {
	case !filled:
		return nil, notLoaded()
	case e == nil:
		return nil, cloud.ErrNotFound
	case !e.loaded:
		return nil, cloud.Errorf(cloud.Unavailable, "The user data and files of the instance are not loaded yet.")
	}
	return e.tell(x.site.Load(), x.cache), nil
}

func (x *Index) documents() *cache { return x.cache }

func notLoaded() error { return cloud.Errorf(cloud.Unavailable, "The metadata is not loaded yet.") }

// At meets [Instances]; [Site.Addresses] is needed.
func (x *Index) At(a netip.Addr) (cloud.ServerID, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if !x.filled {
		return "", notLoaded()
	}
	return x.addresses.at(a)
}

// Behind meets [Instances]; [Site.Addresses] is needed.
func (x *Index) Behind(provider string, a netip.Addr) (cloud.ServerID, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if !x.filled {
		return "", notLoaded()
	}
	return x.addresses.behind(provider, a)
}

// DriveGeneration is that of the record from which server id's documents are
// made: whoever asks before [Index.Instance] gets documents of it, or younger.
func (x *Index) DriveGeneration(id cloud.ServerID) int64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	e := x.entries[id]
	if e == nil || !e.loaded {
		return 0
	}
	return e.facts.server.DriveGeneration
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

func orDiscard(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}
