package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/host/cloud"
)

func openDisk(t *testing.T, dir string) *Store {
	t.Helper()
	return mustOpen(t, diskOptions(dir))
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	s := openDisk(t, dir)
	u := &cloud.User{UserID: "u", Name: "u", PasswordHash: "hash"}
	p := port("01", "10.0.0.1")
	create(t, s, u, p)
	if n, err := s.NextNumber(t.Context(), "n"); n != 1 || err != nil {
		t.Errorf("number %d, %v", n, err)
	}
	s.Close()
	s = openDisk(t, dir)
	s.View(func(m *cloud.Model) {
		if diff := cmp.Diff(u, m.Users["u"]); diff != "" {
			t.Error(diff)
		}
	})
	wantConflict(t, s.Commit(t.Context(), cloud.Txn{Put: []cloud.Record{port("02", "10.0.0.1")}}), "ip/net/10.0.0.1 is taken")
	if n, err := s.NextNumber(t.Context(), "n"); n != 2 || err != nil {
		t.Errorf("number %d, %v", n, err)
	}
}

func TestSecondOpener(t *testing.T) {
	dir := t.TempDir()
	first := openDisk(t, dir)
	_, err := Open(t.Context(), diskOptions(dir))
	if want := fmt.Sprintf("process %d", os.Getpid()); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), want) {
		t.Errorf("second opener: %v, want %q", err, want)
	}
	first.Close()
	openDisk(t, dir)
}

func TestFilesArePrivateAndThereIsNoSocket(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30)) // longer than a socket's path may be
	s := openDisk(t, dir)
	create(t, s, project("a", "a"))
	for _, top := range []string{"store", "key"} {
		info, err := os.Stat(filepath.Join(dir, top))
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", top, info.Mode(), err)
		}
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type()&fs.ModeSocket != 0 {
			t.Errorf("socket %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestKeys(t *testing.T) {
	dir := t.TempDir()
	s := openDisk(t, dir)
	create(t, s, &cloud.User{UserID: "u", Name: "u", PasswordHash: "hash"})
	s.Close()
	key := diskOptions(dir).Key
	right, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string, mode os.FileMode) func() {
		return func() {
			os.Remove(key)
			if err := errors.Join(os.WriteFile(key, []byte(text), mode), os.Chmod(key, mode)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, prepare := range map[string]func(){
		"missing":             func() { os.Remove(key) },
		"another":             write(strings.Repeat("ab", 32)+"\n", 0o600),
		"short":               write("abcd\n", 0o600),
		"no hexadecimal":      write(strings.Repeat("zz", 32), 0o600),
		"readable by a group": write(string(right), 0o640),
		"huge":                write(strings.Repeat("a", 5000), 0o600),
	} {
		prepare()
		if _, err := Open(t.Context(), diskOptions(dir)); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "missing" {
			if _, err := os.Stat(key); !errors.Is(err, fs.ErrNotExist) {
				t.Error("a new key was made for an old store")
			}
		}
	}
	write(string(right), 0o600)()
	s = openDisk(t, dir)
	if u := copyOf(t, s, func(m *cloud.Model) *cloud.User { return m.Users["u"] }); u.PasswordHash != "hash" {
		t.Errorf("%+v", u)
	}
	if _, err := Open(t.Context(), Options{Dir: t.TempDir()}); err == nil {
		t.Error("a store on disk was opened without a key file")
	}
}

func TestKeyIsKeptForANewStore(t *testing.T) {
	dir := t.TempDir()
	o := diskOptions(dir)
	if err := os.WriteFile(o.Key, []byte(strings.Repeat("12", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, o)
	if text, err := os.ReadFile(o.Key); err != nil || string(text) != strings.Repeat("12", 32) {
		t.Errorf("%q, %v", text, err)
	}
}

func TestRecordsWithoutAProbe(t *testing.T) {
	e := NewMemory()
	mustTxn(t, e, nil, put(recordKey(cloud.KindProject, "a"), `{"id":"a"}`))
	if _, err := Open(t.Context(), Options{Engine: e}); !errors.Is(err, ErrKey) {
		t.Errorf("%v", err)
	}
}

func TestCorruptRecordAtOpen(t *testing.T) {
	e, key := NewMemory(), recordKey(cloud.KindProject, "a")
	o := Options{Engine: unclosed{e}, Key: filepath.Join(t.TempDir(), "key")}
	mustOpen(t, o)
	mustTxn(t, e, nil, put(key, "{"))
	if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), key) {
		t.Errorf("%v", err)
	}
}

// TestDamagedFiles: whatever lies in the directory, opening it ends with an
// error and never with the process.
func TestDamagedFiles(t *testing.T) {
	for name, glob := range map[string]string{"database": "etcd/member/snap/db", "log": "etcd/member/wal/0*.wal"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openDisk(t, dir)
			create(t, s, project("a", "a"))
			s.Close()
			files, err := filepath.Glob(filepath.Join(diskOptions(dir).Dir, glob))
			if err != nil || len(files) == 0 {
				t.Fatalf("no file %s: %v", glob, err)
			}
			for _, f := range files {
				if err := os.WriteFile(f, bytes.Repeat([]byte("garbage "), 4096), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			out, err := helperCommand("open", dir).CombinedOutput()
			if err == nil || !strings.HasPrefix(string(out), "open store: ") || strings.Contains(string(out), "goroutine") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func TestQuota(t *testing.T) {
	var logged bytes.Buffer
	e, err := OpenEtcd(t.Context(), EtcdOptions{Dir: t.TempDir(), Quota: 16 << 20, Log: slog.New(slog.NewTextHandler(&logged, nil))})
	if err != nil {
		t.Fatal(err)
	}
	overQuota(t, e, e)
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(logged.String(), "space quota") {
		t.Errorf("nothing was said: %s", logged.String())
	}
}

// overQuota writes through w until the quota of e was hit and there was room
// again.
func overQuota(t *testing.T, e *Etcd, w Engine) {
	t.Helper()
	big := strings.Repeat("x", 1<<20)
	full := 0
	deadline := time.Now().Add(time.Minute)
	for i := 0; i < 60; { // far more than the quota, over and over in four keys
		_, err := w.Txn(t.Context(), EngineTxn{Then: []Op{put(fmt.Sprint("/", i%4), big)}})
		switch {
		case err == nil:
			i++
		case cloud.KindOf(err) != cloud.Unavailable || !strings.Contains(err.Error(), "space quota of 16777216 bytes") || time.Now().After(deadline):
			t.Fatalf("write %d: %v", i, err)
		default:
			full++
			waitForRoom(t, e)
		}
	}
	if full == 0 {
		t.Error("the quota was never reached")
	}
}

// waitForRoom returns when the engine has taken its alarm back.
func waitForRoom(t *testing.T, e *Etcd) {
	t.Helper()
	for {
		alarms, err := e.client.AlarmList(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(alarms.Alarms) == 0 {
			return
		}
	}
}

func TestDefragment(t *testing.T) {
	e := openEtcd(t, t.TempDir())
	big := strings.Repeat("x", 1<<20)
	last := int64(0)
	for range 100 { // well over defragFrom: what the file has lags behind what was written
		last = mustTxn(t, e, nil, put("/a", big))
	}
	size := func() int64 {
		status, err := e.client.Status(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		return status.DbSize
	}
	before := size()
	if err := errors.Join(e.Compact(t.Context(), last), e.defragment(t.Context())); err != nil {
		t.Fatal(err)
	}
	if after := size(); before < defragFrom || after > 16<<20 {
		t.Errorf("%d bytes before, %d after", before, after)
	}
	if kv, err := e.Get(t.Context(), "/a"); err != nil || len(kv.Value) != len(big) {
		t.Errorf("%d bytes, %v", len(kv.Value), err)
	}
}

// TestOpenGivenUp: a start that was cut off at any moment, even the very
// first, does not keep the next from opening the store.
func TestOpenGivenUp(t *testing.T) {
	dir := t.TempDir()
	for i := range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*5*time.Millisecond)
		if e, err := OpenEtcd(ctx, EtcdOptions{Dir: dir}); err == nil {
			e.Close()
		}
		cancel()
	}
	e := openEtcd(t, dir)
	mustTxn(t, e, nil, put("/a", "1"))
}
