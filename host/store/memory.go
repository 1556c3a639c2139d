package store

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
)

// memoryHistory is how many revisions a Memory keeps for watchers.
const memoryHistory = 10_000

// Memory is an [Engine] that keeps everything in memory, for tests.
type Memory struct {
	mu        sync.Mutex
	keys      map[string]KV
	revision  int64
	compacted int64     // history up to and with this revision is gone
	history   [][]Event // of compacted+1 and on
	changed   chan struct{}
	closed    bool
}

// NewMemory returns an empty engine.
func NewMemory() *Memory {
	return &Memory{keys: map[string]KV{}, revision: 1, compacted: 1, changed: make(chan struct{})}
}

func (m *Memory) Get(_ context.Context, key string) (KV, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return KV{}, errClosed()
	}
	kv := m.keys[key]
	kv.Key = key
	return kv, nil
}

func (m *Memory) List(_ context.Context, prefix string) ([]KV, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, 0, errClosed()
	}
	var kvs []KV
	for _, key := range slices.Sorted(maps.Keys(m.keys)) {
		if strings.HasPrefix(key, prefix) {
			kvs = append(kvs, m.keys[key])
		}
	}
	return kvs, m.revision, nil
}

func (m *Memory) Txn(_ context.Context, t EngineTxn) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return 0, errClosed()
	}
	if err := t.check(); err != nil {
		return 0, err
	}
	for _, c := range t.If {
		if m.keys[c.Key].Revision != c.Revision {
			return 0, &CompareError{c.Key}
		}
	}
	if events := m.apply(t.Then, m.revision+1); len(events) > 0 {
		m.revision++
		m.record(events)
	}
	return m.revision, nil
}

func (m *Memory) apply(ops []Op, revision int64) []Event {
	var events []Event
	for _, op := range ops {
		kv := KV{Key: op.Key, Value: op.Value, Revision: revision}
		switch _, exists := m.keys[op.Key]; {
		case !op.Delete:
			m.keys[op.Key] = kv
			events = append(events, Event{KV: kv})
		case exists:
			delete(m.keys, op.Key)
			events = append(events, Event{KV: KV{Key: op.Key, Revision: revision}, Deleted: true})
		}
	}
	return events
}

func (m *Memory) record(events []Event) {
	m.history = append(m.history, events)
	if over := len(m.history) - memoryHistory; over > 0 {
		m.forget(over)
	}
	m.wake()
}

func (m *Memory) forget(n int) {
	m.history = slices.Clone(m.history[n:])
	m.compacted += int64(n)
}

func (m *Memory) wake() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// Compact forgets the history up to and with revision.
func (m *Memory) Compact(_ context.Context, revision int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := min(revision, m.revision) - m.compacted; n > 0 {
		m.forget(int(n))
	}
	return nil
}

func (m *Memory) Watch(ctx context.Context, prefix string, from int64, on func([]Event) error) error {
	for {
		events, changed, err := m.next(prefix, &from)
		if err != nil {
			return err
		}
		if len(events) > 0 {
			if err := on(events); err != nil {
				return err
			}
		}
		if changed == nil && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// next returns the events of revision *from and moves *from on, or a channel
// that is closed when there is more.
func (m *Memory) next(prefix string, from *int64) ([]Event, <-chan struct{}, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
		return nil, nil, errClosed()
	case *from <= m.compacted, *from > m.revision+1:
		return nil, nil, ErrCompacted
	case *from > m.revision:
		return nil, m.changed, nil
	}
	var events []Event
	for _, e := range m.history[*from-m.compacted-1] {
		if strings.HasPrefix(e.Key, prefix) {
			events = append(events, e)
		}
	}
	*from++
	return events, nil, nil
}

func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.wake()
	return nil
}
