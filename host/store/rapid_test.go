package store

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"imprint/host/cloud"
)

// plain is what a store of ports must do, in the plainest way: the addresses
// of each port, and how often it was written.
type plain struct {
	addrs    map[string][]string
	versions map[string]int
}

// allowed says whether the puts and deletes of a transaction may happen, given
// the versions that the writer had seen.
func (p *plain) allowed(puts map[string][]string, deletes []string, seen map[string]int) bool {
	for id := range puts {
		if p.versions[id] != seen[id] {
			return false
		}
	}
	after := maps.Clone(p.addrs)
	for _, id := range deletes {
		if p.versions[id] != seen[id] {
			return false
		}
		delete(after, id)
	}
	maps.Copy(after, puts)
	held := map[string]bool{}
	for _, addrs := range after {
		for _, a := range addrs {
			if held[a] {
				return false
			}
			held[a] = true
		}
	}
	return true
}

func (p *plain) do(puts map[string][]string, deletes []string, tick int) {
	for _, id := range deletes {
		delete(p.addrs, id)
		delete(p.versions, id)
	}
	for id, addrs := range puts {
		p.addrs[id] = addrs
		p.versions[id] = tick
	}
}

// writer remembers versions of ports, not always the newest.
type writer struct {
	records map[string]*cloud.Port
	seen    map[string]int
}

func TestCommitAgainstPlainModel(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		e := NewMemory()
		key := filepath.Join(dir, fmt.Sprint(n))
		stores := []*Store{rapidOpen(rt, e, key), rapidOpen(rt, e, key)}
		defer func() {
			for _, s := range stores {
				s.Close()
			}
		}()
		want := &plain{map[string][]string{}, map[string]int{}}
		w := &writer{map[string]*cloud.Port{}, map[string]int{}}
		for tick := range rapid.IntRange(1, 40).Draw(rt, "steps") {
			i := rapid.IntRange(0, 1).Draw(rt, "store")
			switch rapid.IntRange(0, 5).Draw(rt, "step") {
			case 0:
				w.look(rt, stores[i], want)
			case 1:
				stores[i].Close()
				stores[i] = rapidOpen(rt, e, key)
			case 2:
				e.Compact(t.Context(), 1<<40)
			default:
				step(rt, stores[i], want, w, tick+1)
			}
		}
		for _, s := range stores {
			compare(rt, s, want)
		}
	})
}

func rapidOpen(rt *rapid.T, e *Memory, key string) *Store {
	s, err := Open(rt.Context(), Options{Engine: unclosed{e}, Key: key})
	if err != nil {
		rt.Fatal(err)
	}
	return s
}

// look makes the writer know every port as it is now. The store catches up
// with other writers when it commits something of its own.
func (w *writer) look(rt *rapid.T, s *Store, want *plain) {
	catchUp(rt, s)
	w.records, w.seen = map[string]*cloud.Port{}, maps.Clone(want.versions)
	s.View(func(m *cloud.Model) {
		for id, p := range m.Ports {
			w.records[string(id)] = p
		}
	})
}

func catchUp(rt *rapid.T, s *Store) {
	if err := s.Commit(rt.Context(), cloud.Txn{Put: []cloud.Record{&cloud.Node{Name: cloud.NewUUID()}}}); err != nil {
		rt.Fatal(err)
	}
}

// step commits a random transaction and compares what came of it.
func step(rt *rapid.T, s *Store, want *plain, w *writer, tick int) {
	puts, deletes := map[string][]string{}, []string{}
	var txn cloud.Txn
	for i := range 5 {
		id := fmt.Sprintf("%02d", i)
		switch rapid.SampledFrom([]string{"leave", "leave", "put", "delete"}).Draw(rt, "op") {
		case "put":
			puts[id] = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"}), 0, 2, rapid.ID).Draw(rt, "addrs")
			txn.Put = append(txn.Put, w.changed(id, puts[id]))
		case "delete":
			if r := w.records[id]; r != nil {
				deletes = append(deletes, id)
				txn.Delete = append(txn.Delete, r)
			}
		}
	}
	allowed := want.allowed(puts, deletes, w.seen)
	err := s.Commit(rt.Context(), txn)
	if allowed && errors.Is(err, cloud.ErrConflict) { // the store had not heard of another's deletion
		catchUp(rt, s)
		err = s.Commit(rt.Context(), txn)
	}
	if allowed != (err == nil) || err != nil && !errors.Is(err, cloud.ErrConflict) {
		rt.Fatalf("commit of %v, %v: %v; want success %v", puts, deletes, err, allowed)
	}
	if err != nil {
		return
	}
	want.do(puts, deletes, tick)
	w.did(txn, tick)
	s.View(func(m *cloud.Model) {
		for _, r := range txn.Put {
			if got := m.Ports[r.(*cloud.Port).PortID]; got == nil || got.Revision != r.Head().Revision {
				rt.Fatalf("own write of %s is not visible: %+v", r.ID(), got)
			}
		}
	})
}

// changed returns a new version of a port, on top of what the writer knows.
func (w *writer) changed(id string, addrs []string) *cloud.Port {
	p := port(id, addrs...)
	if old := w.records[id]; old != nil {
		p.Meta = old.Meta
	}
	return p
}

func (w *writer) did(txn cloud.Txn, tick int) {
	for _, r := range txn.Delete {
		delete(w.records, r.ID())
		delete(w.seen, r.ID())
	}
	for _, r := range txn.Put {
		w.records[r.ID()] = r.(*cloud.Port)
		w.seen[r.ID()] = tick
	}
}

// compare checks a store's model and the engine's claims.
func compare(rt *rapid.T, s *Store, want *plain) {
	(&writer{}).look(rt, s, want)
	got, claims := map[string][]string{}, map[string]string{}
	s.View(func(m *cloud.Model) {
		for id, p := range m.Ports {
			got[string(id)] = []string{}
			for _, ip := range p.FixedIPs {
				got[string(id)] = append(got[string(id)], ip.Addr.String())
				claims["claim/ip/net/"+ip.Addr.String()] = "port/" + string(id)
				if at := m.PortAt("net", ip.Addr); at != p {
					rt.Errorf("port at %s is %v", ip.Addr, at)
				}
			}
			claims["claim/mac/net/"+string(p.MAC)] = "port/" + string(id)
		}
	})
	if diff := cmp.Diff(want.addrs, got); diff != "" {
		rt.Error(diff)
	}
	if diff := cmp.Diff(claims, claimsIn(rt, s.engine)); diff != "" {
		rt.Error(diff)
	}
}
