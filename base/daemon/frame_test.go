package daemon

import (
	"encoding/binary"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// pair returns two ends of a stream.
func pair(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		ends[i] = c.(*net.UnixConn)
	}
	return ends[0], ends[1]
}

// What a compromised worker answers must not hurt its owner, and the other way
// round: no panic, and what is taken is what was meant.
func FuzzReadFrame(f *testing.F) {
	framed := func(s string) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...) }
	f.Add(framed(`{"op":"put","item":{"key":"router/1","data":{"a":1}}}`))
	f.Add(framed(`{"error":"no"}`))
	f.Add(framed(`[`))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 'x'})
	f.Add([]byte{0, 0})
	f.Fuzz(func(t *testing.T, stream []byte) {
		if len(stream) > 64<<10 {
			t.Skip("does not fit the socket's buffer")
		}
		from, to := pair(t)
		if _, err := from.Write(stream); err != nil {
			t.Fatal(err)
		}
		from.CloseWrite()
		var got, again request
		if _, err := readFrame(to, &got); err != nil {
			return
		}
		if err := writeFrame(to, got, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := readFrame(from, &again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got.Item.Key+got.Op, again.Item.Key+again.Op); diff != "" {
			t.Error(diff)
		}
	})
}

func TestFilesTravelWithTheirFrame(t *testing.T) {
	from, to := pair(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 2 {
		if err := writeFrame(from, request{Op: opPut}, []*os.File{w, w}); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	for range 2 {
		var got request
		files, err := readFrame(to, &got)
		if err != nil || len(files) != 2 || got.Op != opPut {
			t.Fatalf("got %d files, %+v, %v", len(files), got, err)
		}
		if _, err := files[1].WriteString("x"); err != nil {
			t.Error(err)
		}
		closeAll(files)
	}
	buf := make([]byte, 4)
	if n, err := r.Read(buf); n != 2 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
	if n, err := r.Read(buf); n != 0 || err == nil {
		t.Errorf("a descriptor leaked: %d, %v", n, err)
	}
}

func TestEnormousListIsRefused(t *testing.T) {
	from, to := pair(t)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		var req request
		readFrame(from, &req)
		item := Item{Key: "k", Data: []byte(`"` + strings.Repeat("x", 4096) + `"`)}
		for writeFrame(from, reply{Item: &item}, nil) == nil {
		}
	}()
	drop := func(_ Item, files []*os.File) error { closeAll(files); return nil }
	_, err := exchange(to, request{Op: opList}, nil, drop, 1<<20)
	if err == nil || !strings.Contains(err.Error(), "larger than 1048576 bytes") {
		t.Errorf("an endless list: %v", err)
	}
	to.Close()
	<-answered
}
