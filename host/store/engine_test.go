package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imprint/host/cloud"
)

// compactor is what the suite needs of an engine besides the interface.
type compactor interface {
	Engine
	Compact(ctx context.Context, revision int64) error
}

// TestEngine is the contract of [Engine], for each of them.
func TestEngine(t *testing.T) {
	engines := []struct {
		name string
		open func(*testing.T) compactor
	}{
		{"memory", func(*testing.T) compactor { return NewMemory() }},
		{"etcd", func(t *testing.T) compactor { return openEtcd(t, t.TempDir()) }},
		{"remote", func(t *testing.T) compactor { return newServed(t).api(t) }},
	}
	cases := []struct {
		name string
		run  func(*testing.T, compactor)
	}{
		{"put, get, delete", testPutGetDelete},
		{"a failed condition changes nothing", testFailedCondition},
		{"two writers of one claim", testTwoWriters},
		{"list is of one revision", testListPages},
		{"watch gives whole revisions in order", testWatch},
		{"watch from an old revision", testWatchOld},
		{"compacted watch", testCompactedWatch},
		{"limits", testLimits},
		{"watch from a revision to come", testWatchAhead},
		{"watch ends", testWatchEnds},
		{"closed", testClosed},
	}
	for _, e := range engines {
		for _, c := range cases {
			t.Run(e.name+"/"+c.name, func(t *testing.T) { c.run(t, e.open(t)) })
		}
	}
}

// openEtcd closes the engine at the end of the test unless the test did.
func openEtcd(t *testing.T, dir string) *Etcd {
	t.Helper()
	e, err := OpenEtcd(t.Context(), EtcdOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if e.ctx.Err() == nil {
			e.Close()
		}
	})
	return e
}

func put(key, value string) Op { return Op{Key: key, Value: []byte(value)} }

func mustTxn(t *testing.T, e Engine, ifs []Compare, ops ...Op) int64 {
	t.Helper()
	rev, err := e.Txn(t.Context(), EngineTxn{If: ifs, Then: ops})
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func wantCompareError(t *testing.T, err error, key string) {
	t.Helper()
	var failed *CompareError
	if !errors.As(err, &failed) || failed.Key != key {
		t.Errorf("error %v, want that %s failed", err, key)
	}
}

func testPutGetDelete(t *testing.T, e compactor) {
	rev := mustTxn(t, e, []Compare{{"/a", 0}}, put("/a", "1"), put("/b", "2"))
	got, err := e.Get(t.Context(), "/a")
	if want := (KV{"/a", []byte("1"), rev}); err != nil || !cmp.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if next := mustTxn(t, e, []Compare{{"/a", rev}}, Op{Key: "/a", Delete: true}, Op{Key: "/none", Delete: true}); next != rev+1 {
		t.Errorf("revision %d after %d", next, rev)
	}
	got, err = e.Get(t.Context(), "/a")
	if err != nil || got.Key != "/a" || got.Revision != 0 {
		t.Errorf("after deletion: %v, %v", got, err)
	}
}

func testFailedCondition(t *testing.T, e compactor) {
	rev := mustTxn(t, e, nil, put("/a", "1"))
	for _, c := range []Compare{{"/a", 0}, {"/a", rev + 1}, {"/none", rev}} {
		_, err := e.Txn(t.Context(), EngineTxn{
			If:   []Compare{{"/other", 0}, c},
			Then: []Op{put("/a", "x"), put("/other", "x")},
		})
		wantCompareError(t, err, c.Key)
	}
	kvs, at, err := e.List(t.Context(), "/")
	if want := []KV{{"/a", []byte("1"), rev}}; err != nil || at != rev || !cmp.Equal(kvs, want) {
		t.Errorf("got %v at %d, %v, want %v at %d", kvs, at, err, want, rev)
	}
}

func testTwoWriters(t *testing.T, e compactor) {
	const writers = 16
	var won sync.Map
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			_, err := e.Txn(t.Context(), EngineTxn{
				If:   []Compare{{"/claim", 0}},
				Then: []Op{put("/claim", fmt.Sprint(i)), put(fmt.Sprint("/record/", i), "")},
			})
			if err == nil {
				won.Store(i, true)
			} else {
				wantCompareError(t, err, "/claim")
			}
		})
	}
	group.Wait()
	kvs, _, err := e.List(t.Context(), "/record/")
	if err != nil || len(kvs) != 1 {
		t.Fatalf("%d records, want 1; %v", len(kvs), err)
	}
	claim, err := e.Get(t.Context(), "/claim")
	if err != nil || kvs[0].Key != "/record/"+string(claim.Value) {
		t.Errorf("the claim is of %s, the record %s; %v", claim.Value, kvs[0].Key, err)
	}
}

func testListPages(t *testing.T, e compactor) {
	const total = 2*pageSize + 7
	for start := 0; start < total; start += MaxOps {
		var ops []Op
		for i := start; i < min(start+MaxOps, total); i++ {
			ops = append(ops, put(fmt.Sprintf("/p/%06d", i), "v"))
		}
		mustTxn(t, e, nil, ops...)
	}
	rev := mustTxn(t, e, nil, put("/q", "outside"))
	kvs, at, err := e.List(t.Context(), "/p/")
	if err != nil || at != rev || len(kvs) != total {
		t.Fatalf("%d keys at %d, %v, want %d at %d", len(kvs), at, err, total, rev)
	}
	if !slices.IsSortedFunc(kvs, func(a, b KV) int { return strings.Compare(a.Key, b.Key) }) {
		t.Error("keys are out of order")
	}
}

var errEnough = errors.New("enough")

// collect watches until n revisions have come.
func collect(t *testing.T, e Engine, prefix string, from int64, n int) [][]Event {
	t.Helper()
	var got [][]Event
	err := e.Watch(t.Context(), prefix, from, func(events []Event) error {
		got = append(got, events)
		if len(got) == n {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatalf("watch: %v", err)
	}
	for _, events := range got {
		slices.SortFunc(events, func(a, b Event) int { return strings.Compare(a.Key, b.Key) })
	}
	return got
}

func testWatch(t *testing.T, e compactor) {
	from := mustTxn(t, e, nil, put("/before", "")) + 1
	ready := make(chan struct{})
	go func() {
		defer close(ready)
		for _, ops := range [][]Op{
			{put("/w/a", "1"), put("/w/b", "1"), put("/x", "")},
			{put("/x", "only outside")},
			{put("/w/a", "2"), {Key: "/w/b", Delete: true}},
		} {
			if _, err := e.Txn(t.Context(), EngineTxn{Then: ops}); err != nil {
				t.Error(err)
			}
		}
	}()
	got := collect(t, e, "/w/", from, 2)
	<-ready
	want := [][]Event{
		{{KV: KV{"/w/a", []byte("1"), from}}, {KV: KV{"/w/b", []byte("1"), from}}},
		{{KV: KV{"/w/a", []byte("2"), from + 2}}, {KV: KV{"/w/b", nil, from + 2}, Deleted: true}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func testWatchOld(t *testing.T, e compactor) {
	first := mustTxn(t, e, nil, put("/a", "0"))
	for i := range 50 {
		mustTxn(t, e, nil, put("/a", fmt.Sprint(i+1)))
	}
	for i, events := range collect(t, e, "/", first, 51) {
		want := []Event{{KV: KV{"/a", []byte(fmt.Sprint(i)), first + int64(i)}}}
		if diff := cmp.Diff(want, events); diff != "" {
			t.Fatal(diff)
		}
	}
}

func testCompactedWatch(t *testing.T, e compactor) {
	first := mustTxn(t, e, nil, put("/a", "1"))
	mustTxn(t, e, nil, put("/a", "2"))
	last := mustTxn(t, e, nil, put("/a", "3"))
	if err := e.Compact(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	none := func([]Event) error { t.Error("an event of lost history"); return errEnough }
	if err := e.Watch(t.Context(), "/", first, none); !errors.Is(err, ErrCompacted) {
		t.Errorf("watch from %d: %v, want that it is compacted", first, err)
	}
	kvs, rev, err := e.List(t.Context(), "/")
	if want := []KV{{"/a", []byte("3"), last}}; err != nil || rev != last || !cmp.Equal(kvs, want) {
		t.Errorf("list: %v at %d, %v", kvs, rev, err)
	}
	mustTxn(t, e, nil, put("/a", "4"))
	if got := collect(t, e, "/", last+1, 1); string(got[0][0].Value) != "4" {
		t.Errorf("after the resync: %v", got)
	}
}

func testWatchAhead(t *testing.T, e compactor) {
	next := mustTxn(t, e, nil, put("/a", "1")) + 1
	none := func([]Event) error { t.Error("an event that is not asked for"); return errEnough }
	if err := e.Watch(t.Context(), "/", next+1, none); !errors.Is(err, ErrCompacted) {
		t.Errorf("watch from %d: %v, want that it is not kept", next+1, err)
	}
	mustTxn(t, e, nil, put("/a", "2"))
	if got := collect(t, e, "/", next, 1); string(got[0][0].Value) != "2" {
		t.Errorf("got %v", got)
	}
}

func testLimits(t *testing.T, e compactor) {
	ops := make([]Op, MaxOps+1)
	for i := range ops {
		ops[i] = put(fmt.Sprint("/", i), "")
	}
	mustTxn(t, e, nil, ops[:MaxOps]...)
	half := strings.Repeat("x", MaxBytes/2)
	mustTxn(t, e, nil, put("/a", half[2:]), put("/b", half[2:]))
	for name, txn := range map[string]EngineTxn{
		"operations": {Then: ops},
		"conditions": {If: make([]Compare, MaxOps+1)},
		"bytes":      {Then: []Op{put("/a", half), put("/b", half)}},
	} {
		if _, err := e.Txn(t.Context(), txn); cloud.KindOf(err) != cloud.TooLarge {
			t.Errorf("%s: %v, want that it is too large", name, err)
		}
	}
}

func testWatchEnds(t *testing.T, e compactor) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- e.Watch(ctx, "/", 2, func([]Event) error { return nil }) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("watch ended with %v", err)
	}
}

func testClosed(t *testing.T, e compactor) {
	ended := make(chan error)
	go func() { ended <- e.Watch(t.Context(), "/", 2, func([]Event) error { return nil }) }()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	_, get := e.Get(t.Context(), "/a")
	_, _, list := e.List(t.Context(), "/")
	_, txn := e.Txn(t.Context(), EngineTxn{Then: []Op{put("/a", "")}})
	for call, err := range map[string]error{"get": get, "list": list, "txn": txn, "watch": <-ended} {
		if cloud.KindOf(err) != cloud.Unavailable {
			t.Errorf("%s: %v, want that the engine is away", call, err)
		}
	}
}
