package store

import (
	"encoding/json"
	"errors"
	"strings"

	"imprint/host/cloud"
)

// state is the store as it was at one revision.
type state struct {
	model    *cloud.Model
	revision int64
	// known has the revision of every key, records and all others.
	known map[string]int64
	// extra has the fields of records that this program does not know, by key.
	extra map[string]json.RawMessage
	// held lists the claims of a record, holder the record of a claim, by key.
	held   map[string]map[string]bool
	holder map[string]string
}

func newState() *state {
	return &state{
		model:  cloud.NewModel(),
		known:  map[string]int64{},
		extra:  map[string]json.RawMessage{},
		held:   map[string]map[string]bool{},
		holder: map[string]string{},
	}
}

func asEvents(kvs []KV) []Event {
	events := make([]Event, len(kvs))
	for i, kv := range kvs {
		events[i] = Event{KV: kv}
	}
	return events
}

// apply makes every change that it can; what it cannot read stays as it was
// and is named in the error. The old versions of all records leave the model's
// indexes before the new ones enter, so that what one record hands to another
// at the same revision arrives in any order.
func (s *state) apply(c *codec, events []Event, revision int64) error {
	var errs []error
	var arrived []cloud.Record
	for _, e := range events {
		record, err := s.applyOne(c, e)
		if err != nil {
			errs = append(errs, err)
		}
		if record != nil {
			arrived = append(arrived, record)
		}
	}
	for _, r := range arrived {
		s.model.Apply(cloud.Change{Record: r})
	}
	s.revision = revision
	return errors.Join(errs...)
}

// applyOne does everything but put the new version, which it returns, into the
// model.
func (s *state) applyOne(c *codec, e Event) (cloud.Record, error) {
	if e.Deleted {
		delete(s.known, e.Key)
	} else {
		s.known[e.Key] = e.Revision
	}
	if strings.HasPrefix(e.Key, claimRoot) {
		s.applyClaim(e)
		return nil, nil
	}
	kind, id, ok := splitKey(e.Key)
	if !ok {
		return nil, nil
	}
	var record cloud.Record
	var extra json.RawMessage
	if !e.Deleted {
		var err error
		if record, extra, err = c.decode(e.KV, kind, id); err != nil {
			return nil, err
		}
	}
	delete(s.extra, e.Key)
	if extra != nil {
		s.extra[e.Key] = extra
	}
	if old := s.model.Get(kind, id); old != nil {
		s.model.Apply(cloud.Change{Record: old, Deleted: true})
	}
	return record, nil
}

func (s *state) applyClaim(e Event) {
	old := s.holder[e.Key]
	if old != "" {
		delete(s.held[old], e.Key)
		if len(s.held[old]) == 0 {
			delete(s.held, old)
		}
	}
	delete(s.holder, e.Key)
	if e.Deleted {
		return
	}
	by := root + string(e.Value)
	s.holder[e.Key] = by
	if s.held[by] == nil {
		s.held[by] = map[string]bool{}
	}
	s.held[by][e.Key] = true
}

// missing returns the deletions that lead from s to a state that has only kvs.
func (s *state) missing(kvs []KV, revision int64) []Event {
	present := make(map[string]bool, len(kvs))
	for _, kv := range kvs {
		present[kv.Key] = true
	}
	var gone []Event
	for key := range s.known {
		if !present[key] {
			gone = append(gone, Event{KV: KV{Key: key, Revision: revision}, Deleted: true})
		}
	}
	return gone
}

// outdated returns those of kvs that s does not know in this version.
func (s *state) outdated(kvs []KV) []Event {
	var events []Event
	for _, kv := range kvs {
		if s.known[kv.Key] != kv.Revision {
			events = append(events, Event{KV: kv})
		}
	}
	return events
}
