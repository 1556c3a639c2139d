package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/host/cloud"
)

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// files lists what is in the store's directory, with modes.
func files(t *testing.T, s *Store) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		name, _ := filepath.Rel(s.dir, path)
		names = append(names, fmt.Sprintf("%s %s", info.Mode(), name))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestPutAndRead(t *testing.T) {
	s := open(t)
	content := []byte("hello")
	want := cloud.DigestOf(content)
	for range 2 { // the second finds it there
		d, size, err := s.Put(t.Context(), bytes.NewReader(content), 5)
		if err != nil || d != want || size != 5 {
			t.Fatalf("put: %s, %d, %v", d, size, err)
		}
	}
	got, err := s.ReadAll(want, 5)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("read %q, %v", got, err)
	}
	r, size, err := s.Open(want)
	if err != nil || size != 5 {
		t.Fatalf("open: %d, %v", size, err)
	}
	defer r.Close()
	if err := iotest.TestReader(r, content); err != nil {
		t.Error(err)
	}
	tree := []string{"drwx------ .", "drwx------ 2c", "-rw------- 2c/" + string(want), "drwx------ tmp"}
	if diff := cmp.Diff(tree, files(t, s)); diff != "" {
		t.Error(diff)
	}
}

func TestEmptyBlob(t *testing.T) {
	s := open(t)
	d, err := s.PutBytes(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := s.ReadAll(d, 0); err != nil || len(b) != 0 {
		t.Errorf("%q, %v", b, err)
	}
}

func TestPutFailures(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	cut := errors.New("cut off")
	cases := []struct {
		name string
		ctx  context.Context
		r    io.Reader
		is   error
		kind cloud.Kind
	}{
		{"over the limit", t.Context(), strings.NewReader("123456"), nil, cloud.TooLarge},
		{"endless", t.Context(), endless{}, nil, cloud.TooLarge},
		{"reader fails", t.Context(), io.MultiReader(strings.NewReader("12"), iotest.ErrReader(cut)), cut, cloud.Internal},
		{"context ended", ended, strings.NewReader("12"), context.Canceled, cloud.Internal},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			s := open(t)
			before := files(t, s)
			d, size, err := s.Put(tc.ctx, tc.r, 5)
			if d != "" || size != 0 || cloud.KindOf(err) != tc.kind || tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("%q, %d, %v", d, size, err)
			}
			if diff := cmp.Diff(before, files(t, s)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

func TestDigestIsNoPath(t *testing.T) {
	s := open(t)
	outside := filepath.Join(filepath.Dir(s.dir), "outside")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	good := cloud.DigestOf(nil)
	for _, d := range []cloud.Digest{"", "..", "../outside", "/etc/passwd", good[:63], good + "0", cloud.Digest(strings.ToUpper(string(good))), good[:62] + "/."} {
		_, _, open := s.Open(d)
		_, read := s.ReadAll(d, 1)
		for call, err := range map[string]error{"open": open, "read": read, "remove": s.Remove(d)} {
			if cloud.KindOf(err) != cloud.Invalid {
				t.Errorf("%s %q: %v", call, d, err)
			}
		}
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
}

func TestMissing(t *testing.T) {
	s, d := open(t), cloud.DigestOf(nil)
	if _, _, err := s.Open(d); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("open: %v", err)
	}
	if _, err := s.ReadAll(d, 1); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("read: %v", err)
	}
	if err := s.Remove(d); err != nil {
		t.Errorf("remove: %v", err)
	}
}

func TestReadAllChecks(t *testing.T) {
	s := open(t)
	d, err := s.PutBytes(t.Context(), []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadAll(d, 4); cloud.KindOf(err) != cloud.TooLarge {
		t.Errorf("over the limit: %v", err)
	}
	path, _ := s.path(d)
	if err := os.WriteFile(path, []byte("hullo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadAll(d, 5); err == nil || !strings.Contains(err.Error(), string(d)) {
		t.Errorf("damaged: %v", err)
	}
	if _, err := s.PutBytes(t.Context(), []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadAll(d, 5); err != nil {
		t.Errorf("put again: %v", err)
	}
}

func TestOpenClearsWhatWasLeft(t *testing.T) {
	s := open(t)
	left := filepath.Join(s.dir, tmpDir, "left")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	inPut := readerFunc(func([]byte) (int, error) { // another process opens while this one writes
		if _, err := Open(s.dir); err != nil {
			t.Error(err)
		}
		return 0, io.EOF
	})
	if _, _, err := s.Put(t.Context(), inPut, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); err != nil {
		t.Error("cleared while someone was writing")
	}
	if _, err := Open(s.dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestListAndSweep(t *testing.T) {
	s := open(t)
	now := time.Now().Truncate(time.Second)
	old, young := now.Add(-2*time.Hour), now
	put := func(text string, at time.Time) cloud.Digest {
		d, err := s.PutBytes(t.Context(), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		path, _ := s.path(d)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		return d
	}
	kept, gone, fresh := put("kept", old), put("gone", old), put("fresh", young)
	again := put("put again", old)
	all, err := s.List(t.Context())
	if err != nil || len(all) != 4 {
		t.Fatalf("%v, %v", all, err)
	}
	for _, i := range all {
		if i.Digest == gone && (i.Size != 4 || !i.Time.Equal(old)) {
			t.Errorf("%+v", i)
		}
	}
	keep := func(d cloud.Digest) bool {
		if d == again { // a request puts the same bytes while they are judged
			put("put again", young)
		}
		return d == kept
	}
	if n, err := s.Sweep(t.Context(), now.Add(-time.Hour), keep); n != 1 || err != nil {
		t.Errorf("%d removed, %v", n, err)
	}
	for d, want := range map[cloud.Digest]bool{kept: true, fresh: true, again: true, gone: false} {
		_, err := s.ReadAll(d, 100)
		if (err == nil) != want {
			t.Errorf("%s: %v", d, err)
		}
	}
}

func TestConcurrentPuts(t *testing.T) {
	s := open(t)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for n := range 20 {
				d, err := s.PutBytes(t.Context(), fmt.Append(nil, n))
				if err == nil {
					_, err = s.ReadAll(d, 10)
				}
				if err == nil && i == 0 {
					_, err = s.List(t.Context())
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if all, err := s.List(t.Context()); len(all) != 20 || err != nil {
		t.Errorf("%d blobs, %v", len(all), err)
	}
	if left, _ := os.ReadDir(filepath.Join(s.dir, tmpDir)); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
