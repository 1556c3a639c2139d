package store

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"imprint/host/cloud"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(helperEnv); role != "" {
		os.Exit(helper(role))
	}
	goleak.VerifyTestMain(m)
}

// unclosed lets a test open several stores on one engine.
type unclosed struct{ Engine }

func (unclosed) Close() error { return nil }

// clock starts at a fixed time and goes on by a second with each look.
func clock() func() time.Time {
	var mu sync.Mutex
	now := time.Date(2025, 1, 2, 3, 4, 5, 0, time.FixedZone("east", 3600))
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Second)
		return now
	}
}

func openMemory(t *testing.T, e Engine) *Store {
	t.Helper()
	return mustOpen(t, Options{Engine: e, Now: clock()})
}

func mustOpen(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func commit(t *testing.T, s *Store, txn cloud.Txn) {
	t.Helper()
	if err := s.Commit(t.Context(), txn); err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, s *Store, records ...cloud.Record) {
	t.Helper()
	commit(t, s, cloud.Txn{Put: records})
}

func project(id, name string) *cloud.Project {
	return &cloud.Project{ProjectID: cloud.ProjectID(id), Name: name}
}

func port(id string, addrs ...string) *cloud.Port {
	p := &cloud.Port{PortID: cloud.PortID(id), NetworkID: "net", MAC: cloud.MAC("fa:16:3e:00:00:" + id)}
	for _, a := range addrs {
		p.FixedIPs = append(p.FixedIPs, cloud.FixedIP{Addr: netip.MustParseAddr(a)})
	}
	return p
}

// copyOf returns a copy of the stored record for a change.
func copyOf[R any](t *testing.T, s *Store, get func(*cloud.Model) *R) *R {
	t.Helper()
	var c R
	s.View(func(m *cloud.Model) {
		r := get(m)
		if r == nil {
			t.Fatal("the record is not there")
		}
		c = *r
	})
	return &c
}

func storedPort(id string) func(*cloud.Model) *cloud.Port {
	return func(m *cloud.Model) *cloud.Port { return m.Ports[cloud.PortID(id)] }
}

func storedProject(id string) func(*cloud.Model) *cloud.Project {
	return func(m *cloud.Model) *cloud.Project { return m.Projects[cloud.ProjectID(id)] }
}

func wantConflict(t *testing.T, err error, text string) {
	t.Helper()
	if !errors.Is(err, cloud.ErrConflict) || err.Error() != text {
		t.Errorf("error %v, want conflict %q", err, text)
	}
}

func TestCommitFillsMeta(t *testing.T) {
	s := openMemory(t, NewMemory())
	p := project("p1", "demo")
	create(t, s, p)
	created := time.Date(2025, 1, 2, 2, 4, 6, 0, time.UTC)
	first := p.Meta
	if want := (cloud.Meta{Revision: first.Revision, Schema: cloud.Schema, CreatedAt: created, UpdatedAt: created}); first != want || first.Revision == 0 {
		t.Errorf("meta %+v", first)
	}
	got := copyOf(t, s, storedProject("p1"))
	if diff := cmp.Diff(p, got); diff != "" {
		t.Error(diff)
	}
	got.Description, got.CreatedAt = "changed", time.Time{}
	commit(t, s, cloud.Txn{Put: []cloud.Record{got}})
	if !got.CreatedAt.Equal(created) || !got.UpdatedAt.Equal(created.Add(time.Second)) || got.Revision <= first.Revision {
		t.Errorf("meta %+v", got.Meta)
	}
	commit(t, s, cloud.Txn{Delete: []cloud.Record{got}})
	s.View(func(m *cloud.Model) {
		if len(m.Projects) != 0 {
			t.Errorf("still there: %v", m.Projects)
		}
	})
	create(t, s, project("p1", "demo")) // its name is free again
}

func TestConflicts(t *testing.T) {
	s := openMemory(t, NewMemory())
	a := port("01", "10.0.0.1")
	create(t, s, a, port("02", "10.0.0.2"))
	old := *copyOf(t, s, storedPort("01"))
	newer := copyOf(t, s, storedPort("01"))
	newer.Name = "newer"
	create(t, s, newer)
	gone := copyOf(t, s, storedPort("02"))
	commit(t, s, cloud.Txn{Delete: []cloud.Record{gone}})

	stale, lost := old, *gone
	cases := map[string]cloud.Txn{
		"port 01 exists already":        {Put: []cloud.Record{port("01", "10.0.0.9")}},
		"port 01 has changed meanwhile": {Put: []cloud.Record{&stale}},
		"port 02 is gone":               {Put: []cloud.Record{&lost}},
		"ip/net/10.0.0.1 is taken":      {Put: []cloud.Record{port("03", "10.0.0.1")}},
		"mac/net/fa:16:3e:00:00:01 is taken": {Put: []cloud.Record{
			func() *cloud.Port { p := port("03", "10.0.0.3"); p.MAC = a.MAC; return p }()}},
		"ip/net/10.0.0.5 is wanted by two records": {Put: []cloud.Record{port("04", "10.0.0.5"), port("05", "10.0.0.5")}},
	}
	for text, txn := range cases {
		before := heads(txn.Put)
		wantConflict(t, s.Commit(t.Context(), txn), text)
		if diff := cmp.Diff(before, heads(txn.Put)); diff != "" {
			t.Errorf("%s: meta was touched: %s", text, diff)
		}
	}
	base := old
	wantConflict(t, s.Commit(t.Context(), cloud.Txn{Put: []cloud.Record{project("p", "p")}, Unchanged: []cloud.Record{&base}}), "port 01 has changed meanwhile")
	deleted := old
	wantConflict(t, s.Commit(t.Context(), cloud.Txn{Delete: []cloud.Record{&deleted}}), "port 01 has changed meanwhile")
	s.View(func(m *cloud.Model) {
		if len(m.Ports) != 1 || len(m.Projects) != 0 {
			t.Errorf("a lost commit left something: %v %v", m.Ports, m.Projects)
		}
	})
}

func TestUnchangedAndDelete(t *testing.T) {
	s := openMemory(t, NewMemory())
	create(t, s, project("a", "a"), project("b", "b"))
	var shared, gone cloud.Record
	s.View(func(m *cloud.Model) { shared, gone = m.Projects["a"], m.Projects["b"] })
	before := *shared.Head()
	commit(t, s, cloud.Txn{Delete: []cloud.Record{gone}, Unchanged: []cloud.Record{shared}})
	commit(t, s, cloud.Txn{Unchanged: []cloud.Record{shared}})
	commit(t, s, cloud.Txn{})
	if *shared.Head() != before {
		t.Errorf("a shared record was written to: %+v", shared.Head())
	}
}

func TestClaimsMove(t *testing.T) {
	s := openMemory(t, NewMemory())
	create(t, s, port("01", "10.0.0.1"), port("02", "10.0.0.2"))
	a, b := copyOf(t, s, storedPort("01")), copyOf(t, s, storedPort("02"))
	a.FixedIPs, b.FixedIPs = b.FixedIPs, a.FixedIPs
	commit(t, s, cloud.Txn{Put: []cloud.Record{a, b}}) // a swap
	wantConflict(t, s.Commit(t.Context(), cloud.Txn{Put: []cloud.Record{port("03", "10.0.0.1")}}), "ip/net/10.0.0.1 is taken")

	c := port("03", "10.0.0.1")
	commit(t, s, cloud.Txn{Delete: []cloud.Record{b}, Put: []cloud.Record{c}}) // an heir
	c = copyOf(t, s, storedPort("03"))
	c.FixedIPs = nil
	create(t, s, c)
	create(t, s, port("04", "10.0.0.1")) // free again
	want := map[string]string{
		"claim/ip/net/10.0.0.1": "port/04", "claim/ip/net/10.0.0.2": "port/01",
		"claim/mac/net/fa:16:3e:00:00:01": "port/01", "claim/mac/net/fa:16:3e:00:00:03": "port/03",
		"claim/mac/net/fa:16:3e:00:00:04": "port/04",
	}
	if diff := cmp.Diff(want, claimsIn(t, s.engine)); diff != "" {
		t.Error(diff)
	}
}

// claimsIn lists the holders by claim. Its first argument is a *testing.T or a
// *rapid.T.
func claimsIn(t interface{ Fatal(...any) }, e Engine) map[string]string {
	kvs, _, err := e.List(context.Background(), claimRoot)
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]string{}
	for _, kv := range kvs {
		claims[strings.TrimPrefix(kv.Key, root)] = string(kv.Value)
	}
	return claims
}

func TestTwoStoresOneClaim(t *testing.T) {
	e := NewMemory()
	key := filepath.Join(t.TempDir(), "key")
	var stores []*Store
	for range 2 {
		stores = append(stores, mustOpen(t, Options{Engine: unclosed{e}, Key: key}))
	}
	for i := range 50 {
		var group sync.WaitGroup
		results := make([]error, 8)
		for w := range results {
			group.Go(func() {
				p := project(fmt.Sprintf("%d-%d", i, w), fmt.Sprint("name", i))
				results[w] = stores[w%2].Commit(t.Context(), cloud.Txn{Put: []cloud.Record{p}})
			})
		}
		group.Wait()
		won := 0
		for _, err := range results {
			if err == nil {
				won++
			} else if !errors.Is(err, cloud.ErrConflict) {
				t.Error(err)
			}
		}
		if won != 1 {
			t.Fatalf("%d writers won", won)
		}
	}
}

func TestMistakesOfTheCaller(t *testing.T) {
	s := openMemory(t, NewMemory())
	create(t, s, project("a", "a"))
	var shared cloud.Record
	s.View(func(m *cloud.Model) { shared = m.Projects["a"] })
	p := project("b", "b")
	for name, txn := range map[string]cloud.Txn{
		"shared record":         {Put: []cloud.Record{shared}},
		"no id":                 {Put: []cloud.Record{project("", "x")}},
		"twice":                 {Put: []cloud.Record{p, project("b", "c")}},
		"deleted before stored": {Delete: []cloud.Record{p}},
		"put and deleted":       {Put: []cloud.Record{p}, Delete: []cloud.Record{p}},
	} {
		if err := s.Commit(t.Context(), txn); err == nil || cloud.KindOf(err) != cloud.Internal {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCommitLimits(t *testing.T) {
	s := openMemory(t, NewMemory())
	var many []cloud.Record
	for i := range 65 { // a project is a record and a claim
		many = append(many, project(fmt.Sprint(i), fmt.Sprint(i)))
	}
	big := project("big", "big")
	big.Description = strings.Repeat("x", MaxBytes)
	for _, put := range [][]cloud.Record{many, {big}} {
		if err := s.Commit(t.Context(), cloud.Txn{Put: put}); cloud.KindOf(err) != cloud.TooLarge {
			t.Errorf("%d records: %v", len(put), err)
		}
	}
	create(t, s, many[:64]...)
}

func TestChanges(t *testing.T) {
	s := openMemory(t, NewMemory())
	ctx, cancel := context.WithCancel(t.Context())
	changes := s.Changes(ctx)
	<-changes // at the start
	for i := range 3 {
		create(t, s, project(fmt.Sprint(i), fmt.Sprint(i)))
	}
	<-changes
	s.View(func(m *cloud.Model) {
		if len(m.Projects) != 3 {
			t.Errorf("%d projects, want 3", len(m.Projects))
		}
	})
	cancel()
	for range changes {
	}
	atClose := s.Changes(t.Context())
	s.Close()
	for range atClose {
	}
	for range s.Changes(t.Context()) {
	}
	if err := s.Commit(t.Context(), cloud.Txn{Put: []cloud.Record{project("x", "x")}}); cloud.KindOf(err) != cloud.Unavailable {
		t.Errorf("commit after close: %v", err)
	}
}

func TestNextNumber(t *testing.T) {
	e := NewMemory()
	a, b := openMemory(t, unclosed{e}), mustOpenAgain(t, e)
	seen := map[int64]bool{}
	var mu sync.Mutex
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for range 25 {
				n, err := []*Store{a, b}[i%2].NextNumber(t.Context(), "server")
				mu.Lock()
				if err != nil || seen[n] || n < 1 || n > 200 {
					t.Errorf("number %d, %v", n, err)
				}
				seen[n] = true
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if n, err := a.NextNumber(t.Context(), "other/counter"); n != 1 || err != nil {
		t.Errorf("another counter begins at %d, %v", n, err)
	}
	mustTxn(t, e, nil, put(countRoot+"server", "what?"))
	if _, err := a.NextNumber(t.Context(), "server"); err == nil || !strings.Contains(err.Error(), countRoot+"server") {
		t.Errorf("damaged counter: %v", err)
	}
}

// mustOpenAgain opens a second store on e, which the first one's random key
// would keep it from.
func mustOpenAgain(t *testing.T, e *Memory) *Store {
	t.Helper()
	kv, err := e.Get(t.Context(), sealKey)
	if err != nil {
		t.Fatal(err)
	}
	mustTxn(t, e, []Compare{{sealKey, kv.Revision}}, Op{Key: sealKey, Delete: true})
	return openMemory(t, unclosed{e})
}
