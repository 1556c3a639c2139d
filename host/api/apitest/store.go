package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"imprint/host/cloud"
)

// Store keeps records in memory with the rules of the real one: revisions are
// compared, claims are taken and released, times filled in. Safe for
// concurrent use.
type Store struct {
	mu       sync.RWMutex
	now      func() time.Time
	model    *cloud.Model
	records  map[string]cloud.Record
	claims   map[cloud.Claim]string
	numbers  map[string]int64
	revision int64
}

// NewStore returns an empty store with the clock now.
func NewStore(now func() time.Time) *Store {
	return &Store{now: now, model: cloud.NewModel(), records: map[string]cloud.Record{},
		claims: map[cloud.Claim]string{}, numbers: map[string]int64{}}
}

// View calls f with the model.
func (s *Store) View(f func(*cloud.Model)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	f(s.model)
}

// NextNumber counts from 1 for each name.
func (s *Store) NextNumber(_ context.Context, name string) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.numbers[name]++
	return s.numbers[name], nil
}

// Commit makes all changes of tx or none.
func (s *Store) Commit(ctx context.Context, tx cloud.Txn) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(tx); err != nil {
		return err
	}
	claims, err := s.claimed(tx)
	if err != nil {
		return err
	}
	s.claims = claims
	s.revision++
	for _, r := range tx.Put {
		s.put(r)
	}
	for _, r := range tx.Delete {
		delete(s.records, key(r))
		s.model.Apply(cloud.Change{Record: r, Deleted: true})
	}
	return nil
}

func key(r cloud.Record) string { return string(r.Kind()) + "/" + r.ID() }

func (s *Store) check(tx cloud.Txn) error {
	for _, r := range slices.Concat(tx.Put, tx.Delete, tx.Unchanged) {
		var have int64
		if old := s.records[key(r)]; old != nil {
			have = old.Head().Revision
		}
		if have != r.Head().Revision {
			return fmt.Errorf("commit %s: %w", key(r), cloud.ErrConflict)
		}
	}
	return nil
}

func (s *Store) claimed(tx cloud.Txn) (map[cloud.Claim]string, error) {
	claims := maps.Clone(s.claims)
	for _, r := range slices.Concat(tx.Put, tx.Delete) {
		if old := s.records[key(r)]; old != nil {
			for _, c := range old.Claims() {
				delete(claims, c)
			}
		}
	}
	for _, r := range tx.Put {
		for _, c := range r.Claims() {
			if holder, taken := claims[c]; taken {
				return nil, fmt.Errorf("claim %s held by %s: %w", c, holder, cloud.ErrConflict)
			}
			claims[c] = key(r)
		}
	}
	return claims, nil
}

// put stores a copy, so that what the caller still holds is not the record.
func (s *Store) put(r cloud.Record) {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	c := cloud.NewRecord(r.Kind())
	if err := json.Unmarshal(b, c); err != nil {
		panic(err)
	}
	head, now := c.Head(), s.now().UTC()
	head.Revision, head.Schema, head.UpdatedAt = s.revision, cloud.Schema, now
	if old := s.records[key(r)]; old != nil {
		head.CreatedAt = old.Head().CreatedAt
	} else {
		head.CreatedAt = now
	}
	s.records[key(r)] = c
	s.model.Apply(cloud.Change{Record: c})
}

// Seed stores records as a test's starting point and panics when it cannot.
func (s *Store) Seed(records ...cloud.Record) {
	if err := s.Commit(context.Background(), cloud.Txn{Put: records}); err != nil {
		panic(err)
	}
}

// Dump is the whole state as text, to be compared before and after.
func (s *Store) Dump() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var b bytes.Buffer
	for _, k := range slices.Sorted(maps.Keys(s.records)) {
		text, err := json.Marshal(s.records[k])
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(&b, "%s@%d %s\n", k, s.records[k].Head().Revision, text)
	}
	return b.String()
}
