package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"imprint/host/cloud"
)

// A commit ends within this time, whatever the engine does.
const commitTimeout = 10 * time.Second

// Commit makes the changes of t together or not at all. It returns nil when
// they are durable and the model has them. The put records belong to the store
// from the call on; their Meta is filled in, and is as before when Commit
// fails. A record that [Store.View] showed is put as a changed copy.
//
// The error is of kind cloud.Conflict, with a text that names the record or
// the claim, when the present state is not what t was made for; of kind
// cloud.TooLarge over [MaxOps] or [MaxBytes]; of kind cloud.Unavailable while
// the engine is away or full, and then the change may still have been made.
// Once begun a commit is not given up when ctx ends; it takes 10 s at most. A
// store that is open for reading only fails with [ErrReadOnly].
func (s *Store) Commit(ctx context.Context, t cloud.Txn) error {
	if s.readOnly {
		return fmt.Errorf("commit: %w", ErrReadOnly)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	before := heads(t.Put)
	err := s.commit(ctx, t)
	if err != nil {
		for i, r := range t.Put {
			*r.Head() = before[i]
		}
	}
	return err
}

func heads(records []cloud.Record) []cloud.Meta {
	metas := make([]cloud.Meta, len(records))
	for i, r := range records {
		metas[i] = *r.Head()
	}
	return metas
}

func (s *Store) commit(ctx context.Context, t cloud.Txn) error {
	if err := s.await(ctx, newest(t)); err != nil {
		return err
	}
	d, err := s.draft(t)
	if err != nil || len(d.txn.If) == 0 {
		return err
	}
	rev, err := s.engine.Txn(ctx, d.txn)
	var failed *CompareError
	if errors.As(err, &failed) {
		return cloud.Errorf(cloud.Conflict, "%s", cmp.Or(d.texts[failed.Key], failed.Key+" has changed"))
	}
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if len(d.txn.Then) == 0 {
		return nil
	}
	for _, r := range t.Put {
		r.Head().Revision = rev
	}
	return s.await(ctx, rev)
}

func (s *Store) draft(t cloud.Txn) (*draft, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, errClosed()
	}
	return newDraft(s.state, s.codec, s.now().UTC().Round(0), t)
}

// newest is the highest revision that t's records have seen; they may come
// from another store on the same engine.
func newest(t cloud.Txn) int64 {
	rev := int64(0)
	for _, r := range slices.Concat(t.Put, t.Delete, t.Unchanged) {
		rev = max(rev, r.Head().Revision)
	}
	return rev
}

// await returns when the model has reached revision rev.
func (s *Store) await(ctx context.Context, rev int64) error {
	for {
		s.mu.RLock()
		reached, moved := s.state.revision >= rev, s.moved
		s.mu.RUnlock()
		if reached {
			return nil
		}
		select {
		case <-moved:
		case <-s.feed:
			return errClosed()
		case <-ctx.Done():
			return cloud.Errorf(cloud.Unavailable, "the store's change feed is behind")
		}
	}
}

func errClosed() error { return cloud.Errorf(cloud.Unavailable, "the store is closed") }
