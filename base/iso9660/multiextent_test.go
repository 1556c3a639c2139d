package iso9660

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Files of more than 4 GiB have several records.
func TestMultiExtent(t *testing.T) {
	if testing.Short() {
		t.Skip("passes 4 GiB through memory")
	}
	s := newSparse(t)
	image := Image{Volume: volume(), Files: []File{hugeFile(), text("after", "x"), text("before", "y")}}
	if _, err := image.WriteTo(s); err != nil {
		t.Fatal(err)
	}
	checkHuge(t, s)
	for _, reader := range [][]string{
		{"xorriso", "-indev", s.file.Name(), "-find", "/", "-exec", "lsdl"},
		{"bsdtar", "-tvf", s.file.Name()},
		{"7z", "l", s.file.Name()},
	} {
		t.Run(reader[0], func(t *testing.T) {
			if got := run(t, reader[0], reader[1:]...); !strings.Contains(got, strconv.Itoa(hugeSize)) || !strings.Contains(got, "after") {
				t.Error(got)
			}
		})
	}
}

// sparse keeps what is written on disk without its zeros.
type sparse struct {
	file *os.File
	size int64
}

var zeroChunk [64 << 10]byte

func (s *sparse) Write(b []byte) (int, error) {
	for n := 0; n < len(b); {
		chunk := b[n:min(len(b), n+len(zeroChunk))]
		if string(chunk) != string(zeroChunk[:len(chunk)]) {
			if _, err := s.file.WriteAt(chunk, s.size); err != nil {
				return n, err
			}
		}
		n += len(chunk)
		s.size += int64(len(chunk))
	}
	return len(b), s.file.Truncate(s.size)
}

func newSparse(t *testing.T) *sparse {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "volume.iso"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &sparse{file: f}
}

// huge is a file of two sections, with something at both ends and around the
// place where they meet.
const (
	hugeSize = maxSection + 3*sector + 5
	hugeMark = "here the sections meet"
)

func hugeFile() File {
	f := zeros("huge", hugeSize)
	f.Open = func() (io.ReadCloser, error) {
		lead := int64(maxSection - 10)
		tail := hugeSize - lead - int64(len(hugeMark)) - 3
		return io.NopCloser(io.MultiReader(io.LimitReader(zeroReader{}, lead), strings.NewReader(hugeMark),
			io.LimitReader(zeroReader{}, tail), strings.NewReader("end"))), nil
	}
	return f
}

// checkHuge looks for the marks.
func checkHuge(t *testing.T, s *sparse) {
	t.Helper()
	v, err := Open(s.file, s.size)
	if err != nil {
		t.Fatal(err)
	}
	f, err := v.Open("huge")
	if err != nil {
		t.Fatal(err)
	}
	if i, err := f.Stat(); err != nil || i.Size() != hugeSize {
		t.Fatalf("%v, %v", i, err)
	}
	b := make([]byte, len(hugeMark))
	if _, err := f.(io.ReaderAt).ReadAt(b, maxSection-10); err != nil || string(b) != hugeMark {
		t.Errorf("%q, %v", b, err)
	}
	if n, err := f.(io.ReaderAt).ReadAt(b, hugeSize-3); n != 3 || err != io.EOF || string(b[:3]) != "end" {
		t.Errorf("%q, %v", b[:n], err)
	}
}
