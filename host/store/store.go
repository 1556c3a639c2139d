package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"imprint/host/cloud"
)

// ErrReadOnly says that the store was opened for reading only.
var ErrReadOnly = errors.New("the store is open for reading only")

// Store keeps the records. It is safe for concurrent use. While its engine is
// away it goes on serving the model as it was last known.
type Store struct {
	engine   Engine
	codec    *codec
	readOnly bool
	now      func() time.Time
	log      *slog.Logger
	cancel   context.CancelFunc
	feed     chan struct{} // closed when the feed has ended

	counting sync.Mutex // one NextNumber at a time

	mu      sync.RWMutex
	state   *state
	moved   chan struct{} // closed and replaced when state moves on
	readers map[chan struct{}]struct{}
	closed  bool
}

// Open opens the store and reads all of it into memory. ctx bounds the
// opening only. A store that another process holds is [ErrInUse], a key that
// is not the store's is [ErrKey]; both leave everything as it was, and so does
// a record that cannot be read, which the error names.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Engine == nil && o.ReadOnly {
		return nil, errors.New("open store: a store on disk cannot be opened for reading only")
	}
	if o.Engine == nil && o.Key == "" {
		return nil, errors.New("open store: a store on disk needs a key file")
	}
	engine, err := o.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s, err := load(ctx, engine, o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", err), engine.Close())
	}
	return s, nil
}

func (o Options) open(ctx context.Context) (Engine, error) {
	if o.Engine != nil {
		return o.Engine, nil
	}
	return OpenEtcd(ctx, EtcdOptions{Dir: o.Dir, Log: o.Log})
}

func load(ctx context.Context, engine Engine, o Options) (*Store, error) {
	s := &Store{
		engine:   engine,
		readOnly: o.ReadOnly,
		now:      o.Now,
		log:      o.Log,
		feed:     make(chan struct{}),
		moved:    make(chan struct{}),
		readers:  map[chan struct{}]struct{}{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if s.codec, err = openCodec(ctx, engine, o.Key, o.ReadOnly); err != nil {
		return nil, err
	}
	kvs, rev, err := engine.List(ctx, root)
	if err != nil {
		return nil, err
	}
	s.state = newState()
	if err := s.state.apply(s.codec, asEvents(kvs), rev); err != nil {
		return nil, err
	}
	feedCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	go s.follow(feedCtx)
	return s, nil
}

// View calls f with the model, which does not change meanwhile. f must be
// short, keep nothing but records, change nothing, and not call Commit or
// NextNumber, which would wait for f.
func (s *Store) View(f func(*cloud.Model)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	f(s.state.model)
}

// Changes returns a channel that receives once at the start and then whenever
// the model has changed since the last receive. It is closed when ctx ends or
// the store is closed.
func (s *Store) Changes(ctx context.Context) <-chan struct{} {
	c := make(chan struct{}, 1)
	c <- struct{}{}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		close(c)
		return c
	}
	s.readers[c] = struct{}{}
	context.AfterFunc(ctx, func() { s.dropReader(c) })
	return c
}

func (s *Store) dropReader(c chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.readers[c]; ok {
		delete(s.readers, c)
		close(c)
	}
}

// Close ends the change feed and closes the engine. What was committed is
// durable already. Commits that are still under way fail.
func (s *Store) Close() error {
	s.mu.Lock()
	already := s.closed
	s.closed = true
	for c := range s.readers {
		delete(s.readers, c)
		close(c)
	}
	s.mu.Unlock()
	if already {
		return nil
	}
	s.cancel()
	<-s.feed
	if err := s.engine.Close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}
