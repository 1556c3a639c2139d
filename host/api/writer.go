package api

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"imprint/host/cloud"
)

// Store is what a [Writer] needs of the store.
type Store interface {
	View(func(*cloud.Model))
	Commit(ctx context.Context, tx cloud.Txn) error
}

const maxAttempts = 20

// Writer makes changes that are decided on the present state. It is safe for
// concurrent use; the changes of one writer take turns, so that only writers
// in other roles and processes can make them decide again.
type Writer struct {
	store Store
	turn  chan struct{}
}

// NewWriter returns a writer to s.
func NewWriter(s Store) *Writer { return &Writer{store: s, turn: make(chan struct{}, 1)} }

// Change calls decide with the model and commits what it returns. When another
// writer was faster, it decides again, up to a bound. An error of decide ends
// it and changes nothing; an empty transaction is not committed. decide runs
// under the store's read lock: it must be short and block on nothing.
func (w *Writer) Change(ctx context.Context, decide func(*cloud.Model) (cloud.Txn, error)) error {
	select {
	case w.turn <- struct{}{}:
		defer func() { <-w.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for attempt := range maxAttempts {
		if err := pause(ctx, attempt); err != nil {
			return err
		}
		var tx cloud.Txn
		var err error
		w.store.View(func(m *cloud.Model) { tx, err = decide(m) })
		if err != nil || len(tx.Put)+len(tx.Delete) == 0 {
			return err
		}
		if err = w.store.Commit(ctx, tx); !errors.Is(err, cloud.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("too many writers at once: %w", cloud.Errorf(cloud.Unavailable, "The resource is being changed by others; try again."))
}

// pause waits longer with each attempt, by chance, so that rivals part.
func pause(ctx context.Context, attempt int) error {
	if attempt == 0 {
		return nil
	}
	t := time.NewTimer(rand.N(time.Duration(attempt) * time.Millisecond))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
