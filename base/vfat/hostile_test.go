package vfat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
)

// endless is a FAT32 volume in which every cluster is followed by the next
// and everything else is the byte 0xe5, a free directory entry.
type endless struct {
	boot []byte
	g    geometry
	read int64
}

func (e *endless) ReadAt(b []byte, off int64) (int, error) {
	e.read += int64(len(b))
	for i := range b {
		b[i] = 0xe5
	}
	if off == 0 {
		copy(b, e.boot)
	}
	if off >= e.g.fatOff && off < e.g.rootOff {
		for i := 0; i+4 <= len(b); i += 4 {
			binary.LittleEndian.PutUint32(b[i:], uint32((off-e.g.fatOff)%e.g.fatLen+int64(i))/4+1)
		}
	}
	return len(b), nil
}

func TestDirectoryOf10GB(t *testing.T) {
	p, err := (&Image{Type: FAT32, Size: 10 << 30}).Plan()
	if err != nil {
		t.Fatal(err)
	}
	r := &endless{boot: p.boot(), g: p.g}
	_, err = Open(r, p.Size())
	var format *FormatError
	if !errors.As(err, &format) || !strings.Contains(format.Problem, "more than 65536 entries") {
		t.Error(err)
	}
	if r.read > 4<<20 {
		t.Errorf("%d bytes were read", r.read)
	}
}

// Two trees of 100 directories, the second hung below the first.
func TestTooDeep(t *testing.T) {
	deep := strings.Repeat("D/", 98)
	b := build(t, Image{Type: FAT16, Files: []File{{Path: "A/" + deep + "X/"}, {Path: "B/" + deep + "F"}}})
	entryOf := func(name string) []byte {
		i := bytes.Index(b, append([]byte(name+"          "), attrDirectory))
		return b[i : i+entrySize]
	}
	x, second := entryOf("X"), entryOf("B")
	copy(x[26:], second[26:28])
	second[0] = 0xe5
	if err := readAll(b); err == nil || !strings.Contains(err.Error(), "more than 128 names deep") {
		t.Error(err)
	}
}

// failing is a disk with errors.
type failing struct {
	*bytes.Reader
	from int64
}

var errDisk = errors.New("input/output error")

func (f failing) ReadAt(b []byte, off int64) (int, error) {
	if off >= f.from {
		return 0, errDisk
	}
	return f.Reader.ReadAt(b, off)
}

func TestErrorsOfTheDiskAreKept(t *testing.T) {
	for typ, im := range types() {
		im.Files = []File{text("F", strings.Repeat("x", 20_000))}
		b := build(t, im)
		g := open(t, b).g
		for _, from := range []int64{0, g.fatOff, g.rootOff, g.dataOff} {
			v, err := Open(failing{bytes.NewReader(b), from}, int64(len(b)))
			if err == nil {
				_, err = fs.ReadFile(v, "F")
			}
			if !errors.Is(err, errDisk) {
				t.Errorf("%v from byte %d: %v", typ, from, err)
			}
		}
	}
}

func TestConcurrentReaders(t *testing.T) {
	files := sample()
	v := open(t, build(t, Image{Files: files}))
	want := wanted(t, files)
	shared, err := v.Open("2049")
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 8)
	var group sync.WaitGroup
	for range cap(failed) {
		group.Go(func() { failed <- readLike(v, shared.(*openFile), want) })
	}
	group.Wait()
	for range cap(failed) {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

// readLike compares v with want, and reads a shared file in pieces.
func readLike(v *FS, shared *openFile, want map[string]string) error {
	for path, content := range want {
		if content == "/" {
			if _, err := v.ReadDir(path); err != nil {
				return err
			}
			continue
		}
		got, err := fs.ReadFile(v, path)
		if err != nil || string(got) != content {
			return fmt.Errorf("%s: %q, %w", path, got, err)
		}
		var b [1]byte
		if _, err := shared.ReadAt(b[:], 2048); err != nil || b[0] != '!' {
			return fmt.Errorf("shared: %q, %w", b, err)
		}
	}
	return nil
}
