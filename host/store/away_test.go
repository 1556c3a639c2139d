package store

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"imprint/host/cloud"
)

// flaky is an engine that the test sends away and brings back.
type flaky struct {
	*Memory
	mu   sync.Mutex
	gone chan struct{} // closed while away
}

func newFlaky() *flaky { return &flaky{Memory: NewMemory(), gone: make(chan struct{})} }

func (f *flaky) leave() { f.mu.Lock(); defer f.mu.Unlock(); close(f.gone) }

func (f *flaky) comeBack() { f.mu.Lock(); defer f.mu.Unlock(); f.gone = make(chan struct{}) }

func (f *flaky) away() (<-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.gone:
		return nil, cloud.Errorf(cloud.Unavailable, "away")
	default:
		return f.gone, nil
	}
}

func (f *flaky) Txn(ctx context.Context, t EngineTxn) (int64, error) {
	if _, err := f.away(); err != nil {
		return 0, err
	}
	return f.Memory.Txn(ctx, t)
}

func (f *flaky) List(ctx context.Context, prefix string) ([]KV, int64, error) {
	if _, err := f.away(); err != nil {
		return nil, 0, err
	}
	return f.Memory.List(ctx, prefix)
}

func (f *flaky) Watch(ctx context.Context, prefix string, from int64, on func([]Event) error) error {
	gone, err := f.away()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-gone:
			cancel()
		case <-ctx.Done():
		}
	}()
	return f.Memory.Watch(ctx, prefix, from, on)
}

func TestEngineAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newFlaky()
		s := openMemory(t, e)
		create(t, s, project("a", "a"), project("b", "b"))
		e.leave()
		if err := s.Commit(t.Context(), cloud.Txn{Put: []cloud.Record{project("c", "c")}}); cloud.KindOf(err) != cloud.Unavailable {
			t.Errorf("commit: %v", err)
		}
		if n, err := s.NextNumber(t.Context(), "n"); cloud.KindOf(err) != cloud.Unavailable {
			t.Errorf("number: %d, %v", n, err)
		}
		copyOf(t, s, storedProject("a")) // readers go on

		// Meanwhile others change the store, and its history is compacted.
		key := recordKey(cloud.KindProject, "a")
		value, err := s.codec.encode(project("a", "renamed"), nil)
		if err != nil {
			t.Fatal(err)
		}
		mustTxn(t, e.Memory, nil, Op{Key: key, Value: value}, Op{Key: recordKey(cloud.KindProject, "b"), Delete: true})
		e.Memory.Compact(t.Context(), 1<<40)
		e.comeBack()
		create(t, s, project("d", "d")) // waits for the feed, which resyncs
		s.View(func(m *cloud.Model) {
			if m.Projects["a"].Name != "renamed" || m.Projects["b"] != nil || m.Projects["d"] == nil {
				t.Errorf("after the resync: %v", m.Projects)
			}
		})
		create(t, s, project("e", "e"))
	})
}

func TestCommitNotSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newFlaky()
		s := openMemory(t, &deaf{e})
		err := s.Commit(t.Context(), cloud.Txn{Put: []cloud.Record{project("a", "a")}})
		if cloud.KindOf(err) != cloud.Unavailable {
			t.Errorf("commit without a feed: %v", err)
		}
	})
}

// deaf is an engine whose watch never tells anything.
type deaf struct{ *flaky }

func (d *deaf) Watch(ctx context.Context, _ string, _ int64, _ func([]Event) error) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestGivenUpBeforeItBegan(t *testing.T) {
	s := openMemory(t, NewMemory())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Commit(ctx, cloud.Txn{Put: []cloud.Record{project("a", "a")}}); err != context.Canceled {
		t.Errorf("commit: %v", err)
	}
}
