package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// How long the feed waits before it tries an engine that is away again.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 2 * time.Second
)

// follow feeds the model until ctx ends.
func (s *Store) follow(ctx context.Context) {
	defer close(s.feed)
	pause := firstPause
	for {
		from := s.revision() + 1
		err := s.engine.Watch(ctx, root, from, s.take)
		if errors.Is(err, ErrCompacted) {
			err = s.resync(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil || s.revision() >= from {
			pause = firstPause
		}
		if err == nil {
			continue
		}
		level := slog.LevelDebug
		if pause == firstPause { // once for each time that it goes away
			level = slog.LevelWarn
		}
		s.log.Log(ctx, level, "store's change feed was interrupted", "error", err, "retry_in", pause)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
	}
}

func (s *Store) revision() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.state.revision
}

// take applies the events of one revision.
func (s *Store) take(events []Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(events, events[0].Revision)
	return nil
}

// resync reads everything again after history was lost.
func (s *Store) resync(ctx context.Context) error {
	kvs, rev, err := s.engine.List(ctx, root)
	if err != nil {
		return fmt.Errorf("read the store again: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log.Info("store read again after its history was compacted", "revision", rev)
	s.advance(append(s.state.missing(kvs, rev), s.state.outdated(kvs)...), rev)
	return nil
}

// advance needs s.mu. A record that cannot be read keeps its last good version.
func (s *Store) advance(events []Event, revision int64) {
	if err := s.state.apply(s.codec, events, revision); err != nil {
		s.log.Error("record in the store cannot be read", "error", err)
	}
	close(s.moved)
	s.moved = make(chan struct{})
	for c := range s.readers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
