package store

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"imprint/host/cloud"
)

// TestRoles: the metadata role reads and does nothing else, and no role gets
// at what is not of the store: members, snapshots, alarms, users, history.
func TestRoles(t *testing.T) {
	s := newServed(t)
	api, metadata := s.open(t, RoleAPI), s.open(t, RoleMetadata)
	rev := mustTxn(t, api, nil, put("/a", "1"))
	if kvs, at, err := metadata.List(t.Context(), "/"); err != nil || at != rev || len(kvs) != 1 {
		t.Errorf("list: %v at %d, %v", kvs, at, err)
	}
	collect(t, metadata, "/", rev, 1)
	_, err := metadata.Txn(t.Context(), EngineTxn{Then: []Op{put("/a", "2")}})
	if !errors.Is(err, ErrRefused) || cloud.KindOf(err) == cloud.Unavailable || !strings.Contains(err.Error(), string(RoleMetadata)) {
		t.Errorf("write of a reader: %v", err)
	}
	ctx := t.Context()
	conn := api.client.ActiveConnection()
	kv, maintenance := etcdserverpb.NewKVClient(conn), etcdserverpb.NewMaintenanceClient(conn)
	for name, call := range map[string]func() error{
		"put": func() error { _, err := kv.Put(ctx, &etcdserverpb.PutRequest{Key: []byte("/a")}); return err },
		"delete": func() error {
			_, err := kv.DeleteRange(ctx, &etcdserverpb.DeleteRangeRequest{Key: []byte("/a")})
			return err
		},
		"compact": func() error { _, err := kv.Compact(ctx, &etcdserverpb.CompactionRequest{Revision: rev}); return err },
		"stream": func() error {
			return received(kv.RangeStream(ctx, &etcdserverpb.RangeRequest{Key: []byte("/a")}))
		},
		"snapshot": func() error { return received(maintenance.Snapshot(ctx, &etcdserverpb.SnapshotRequest{})) },
		"members": func() error {
			_, err := etcdserverpb.NewClusterClient(conn).MemberList(ctx, &etcdserverpb.MemberListRequest{})
			return err
		},
		"users": func() error {
			_, err := etcdserverpb.NewAuthClient(conn).AuthEnable(ctx, &etcdserverpb.AuthEnableRequest{})
			return err
		},
	} {
		if code := status.Code(call()); code != codes.PermissionDenied && code != codes.Unimplemented {
			t.Errorf("%s: %v", name, code)
		}
	}
}

func received[M any](stream interface{ Recv() (*M, error) }, err error) error {
	if err == nil {
		_, err = stream.Recv()
	}
	return err
}

// TestReadOnlyStore is what the metadata service does: no key, no secrets, all
// records, and no way to write.
func TestReadOnlyStore(t *testing.T) {
	s := newServed(t)
	key := filepath.Join(t.TempDir(), "key")
	reader := mustOpen(t, Options{Engine: s.open(t, RoleMetadata), ReadOnly: true}) // of a store that is still empty
	writer := mustOpen(t, Options{Engine: s.open(t, RoleAPI), Key: key})
	create(t, writer, &cloud.User{UserID: "u", Name: "u", PasswordHash: "hash", Roles: map[cloud.ProjectID][]string{"p": {"member"}}})
	waitFor(t, reader, func(m *cloud.Model) bool { return m.Users["u"] != nil })
	for name, store := range map[string]*Store{"fed": reader, "new": mustOpen(t, Options{Engine: s.open(t, RoleMetadata), ReadOnly: true})} {
		u := copyOf(t, store, func(m *cloud.Model) *cloud.User { return m.Users["u"] })
		if u.PasswordHash != "" || u.Name != "u" || len(u.Roles) != 1 || u.Revision == 0 {
			t.Errorf("%s: %+v", name, u)
		}
		if err := store.Commit(t.Context(), cloud.Txn{Put: []cloud.Record{project("a", "a")}}); !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: commit: %v", name, err)
		}
		if _, err := store.NextNumber(t.Context(), "n"); !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: number: %v", name, err)
		}
	}
}

// TestReadOnlyWithKey: a reader that is given the key has to have the right one.
func TestReadOnlyWithKey(t *testing.T) {
	e, key := NewMemory(), filepath.Join(t.TempDir(), "key")
	open := func(path string) (*Store, error) {
		return Open(t.Context(), Options{Engine: unclosed{e}, ReadOnly: true, Key: path})
	}
	if _, err := open(key); !errors.Is(err, ErrKey) {
		t.Errorf("missing key: %v", err)
	}
	if _, err := os.Stat(key); !errors.Is(err, fs.ErrNotExist) || e.revision != 1 {
		t.Errorf("a reader wrote: %v, revision %d", err, e.revision)
	}
	create(t, mustOpen(t, Options{Engine: unclosed{e}, Key: key}), &cloud.User{UserID: "u", Name: "u", PasswordHash: "hash"})
	s, err := open(key)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if u := copyOf(t, s, func(m *cloud.Model) *cloud.User { return m.Users["u"] }); u.PasswordHash != "hash" {
		t.Errorf("%+v", u)
	}
	another := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(another, []byte(strings.Repeat("ab", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(another); !errors.Is(err, ErrKey) {
		t.Errorf("another key: %v", err)
	}
	if _, err := Open(t.Context(), Options{Dir: t.TempDir(), ReadOnly: true}); err == nil {
		t.Error("a store on disk was opened for reading only")
	}
}

// waitFor returns when the model is as wanted.
func waitFor(t *testing.T, s *Store, is func(*cloud.Model) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range s.Changes(ctx) {
		found := false
		s.View(func(m *cloud.Model) { found = is(m) })
		if found {
			return
		}
	}
	t.Fatal("the model never was as wanted")
}

// TestTwoStartAtOnce: of two processes that open a new store with one key, both
// go on.
func TestTwoStartAtOnce(t *testing.T) {
	e, key := NewMemory(), filepath.Join(t.TempDir(), "key")
	if _, err := makeKey(key); err != nil {
		t.Fatal(err)
	}
	other := func() { mustOpen(t, Options{Engine: unclosed{e}, Key: key}) }
	mustOpen(t, Options{Engine: &overtaken{unclosed{e}, other}, Key: key})
	another := func() {
		mustTxn(t, e, nil, Op{Key: sealKey, Delete: true})
		mustOpen(t, Options{Engine: unclosed{e}, Key: filepath.Join(t.TempDir(), "another")})
	}
	mustTxn(t, e, nil, Op{Key: sealKey, Delete: true})
	if _, err := Open(t.Context(), Options{Engine: &overtaken{unclosed{e}, another}, Key: key}); !errors.Is(err, ErrKey) {
		t.Errorf("overtaken by one with another key: %v", err)
	}
}

// overtaken lets someone else be first with a transaction.
type overtaken struct {
	Engine
	by func()
}

func (o *overtaken) Txn(ctx context.Context, t EngineTxn) (int64, error) {
	o.by()
	return o.Engine.Txn(ctx, t)
}

// TestRemoteAway: while the store is away readers go on and writers are told
// soon; when it is back so are they, also when their history is gone.
func TestRemoteAway(t *testing.T) {
	s, dir := newServed(t), t.TempDir()
	s.stop()
	s.start(t, dir)
	writer := mustOpen(t, Options{Engine: s.open(t, RoleAPI)})
	reader := mustOpen(t, Options{Engine: s.open(t, RoleMetadata), ReadOnly: true})
	create(t, writer, project("a", "a"), project("b", "b"))
	waitFor(t, reader, func(m *cloud.Model) bool { return m.Projects["b"] != nil })
	began := time.Now()
	s.stop()
	if d := time.Since(began); d >= drainTimeout {
		t.Errorf("the end took %v although nothing was under way", d)
	}
	began = time.Now()
	err := writer.Commit(t.Context(), cloud.Txn{Put: []cloud.Record{project("c", "c")}})
	if cloud.KindOf(err) != cloud.Unavailable || errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "the store is away") {
		t.Errorf("commit: %v", err)
	}
	if d := time.Since(began); d > callTimeout {
		t.Errorf("commit took %v", d)
	}
	copyOf(t, reader, storedProject("a"))

	// Before the clients are back, others have changed it and dropped history.
	alone := openEtcd(t, dir)
	rev := mustTxn(t, alone, nil, Op{Key: recordKey(cloud.KindProject, "b"), Delete: true})
	if err := alone.Compact(t.Context(), rev); err != nil {
		t.Fatal(err)
	}
	alone.Close()
	s.start(t, dir)
	waitFor(t, reader, func(m *cloud.Model) bool { return m.Projects["b"] == nil })
	waitFor(t, writer, func(m *cloud.Model) bool { return m.Projects["b"] == nil })
	create(t, writer, project("d", "d"))
	waitFor(t, reader, func(m *cloud.Model) bool { return m.Projects["d"] != nil })
}

// TestRemotePutBack: readers follow a store that was put back from a backup.
func TestRemotePutBack(t *testing.T) {
	s, dir, backup := newServed(t), t.TempDir(), t.TempDir()
	s.stop()
	s.start(t, dir)
	key := filepath.Join(t.TempDir(), "key")
	writer := mustOpen(t, Options{Engine: s.open(t, RoleAPI), Key: key})
	create(t, writer, project("a", "a"))
	reader := mustOpen(t, Options{Engine: s.open(t, RoleMetadata), ReadOnly: true})
	s.stop()
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	s.start(t, dir)
	waitFor(t, writer, func(*cloud.Model) bool { return true })
	for _, id := range []string{"b", "c"} {
		retry(t, func() error { return writer.Commit(t.Context(), cloud.Txn{Put: []cloud.Record{project(id, id)}}) })
	}
	waitFor(t, reader, func(m *cloud.Model) bool { return m.Projects["c"] != nil })
	s.stop()
	s.start(t, backup)
	waitFor(t, reader, func(m *cloud.Model) bool { return len(m.Projects) == 1 && m.Projects["a"] != nil })
	waitFor(t, writer, func(m *cloud.Model) bool { return len(m.Projects) == 1 })
	create(t, writer, project("b", "b"))
}

// retry calls f until it no longer says that the store is away.
func retry(t *testing.T, f func() error) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		err := f()
		if err == nil {
			return
		}
		if cloud.KindOf(err) != cloud.Unavailable || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestRemoteSilent: something that takes connections and never answers is a
// store that is away.
func TestRemoteSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ca := newAuthority(t, "authority")
	conf := ca.client(ca.issue(t, "api", []Role{RoleAPI}))
	began := time.Now()
	_, err = OpenRemote(t.Context(), Remote{Endpoints: []string{"https://" + l.Addr().String()}, TLS: conf})
	if cloud.KindOf(err) != cloud.Unavailable || errors.Is(err, ErrRefused) {
		t.Errorf("open: %v", err)
	}
	if d := time.Since(began); d > callTimeout+time.Second {
		t.Errorf("it took %v", d)
	}
}

// TestRemoteQuota: a writer elsewhere is told what one inside is told, and the
// store makes room for it.
func TestRemoteQuota(t *testing.T) {
	s := newServed(t)
	s.stop()
	s.quota = 16 << 20
	s.start(t, t.TempDir())
	overQuota(t, s.Etcd, s.open(t, RoleAPI))
}

// TestTwoEndpoints: one of them is enough.
func TestTwoEndpoints(t *testing.T) {
	s := newServed(t)
	conf := s.ca.client(s.ca.issue(t, "api", []Role{RoleAPI}))
	e, err := OpenRemote(t.Context(), Remote{Endpoints: []string{"https://" + freeAddr(t), s.endpoint()}, TLS: conf})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	mustTxn(t, e, nil, put("/a", "1"))
	if _, err := e.Get(t.Context(), "/a"); err != nil {
		t.Error(err)
	}
}

// TestPreambleIsBounded: who connects and says nothing is dropped.
func TestPreambleIsBounded(t *testing.T) {
	s := newServed(t)
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(2 * handshakeTimeout))
	if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
}
