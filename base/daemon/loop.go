package daemon

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Loop makes the world what the newest of a row of values says, again and
// again. Its fields are set before its first use and not changed after.
type Loop[T any] struct {
	Every time.Duration // between repetitions of what succeeded
	Retry time.Duration // after the first failure; doubled up to Every
	Log   *slog.Logger  // failures, at Warn; nil discards
	// Apply is called from Run's goroutine alone. What it has done for a value
	// it may do again.
	Apply func(context.Context, T) error

	mu    sync.Mutex
	value T
	known bool
	wake  chan struct{}
}

// Update replaces the value and wakes Run; it never blocks. Safe for
// concurrent use, before Run and during it.
func (l *Loop[T]) Update(v T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.value, l.known = v, true
	l.signal()
}

// Again makes Run apply the value once more, soon.
func (l *Loop[T]) Again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.signal()
}

// signal is called with mu held.
func (l *Loop[T]) signal() {
	if l.wake == nil {
		l.wake = make(chan struct{}, 1)
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *Loop[T]) newest() (v T, known bool, wake <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wake == nil {
		l.wake = make(chan struct{}, 1)
	}
	return l.value, l.known, l.wake
}

// Run applies values until ctx ends, and returns nil. Before the first Update
// it does nothing.
func (l *Loop[T]) Run(ctx context.Context) error {
	_, _, wake := l.newest()
	timer := time.NewTimer(l.Every)
	defer timer.Stop()
	pause := l.Retry
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		case <-timer.C:
		}
		next := l.Every
		if err := l.once(ctx); err != nil && ctx.Err() == nil {
			orDiscard(l.Log).Warn("not all is as it should be", "error", err, "retry", pause)
			next, pause = pause, min(2*pause, l.Every)
		} else {
			pause = l.Retry
		}
		timer.Reset(next)
	}
}

func (l *Loop[T]) once(ctx context.Context) error {
	v, known, _ := l.newest()
	if !known {
		return nil
	}
	return l.Apply(ctx, v)
}
