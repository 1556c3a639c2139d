package iso9660

import (
	"errors"
	"fmt"
	"io"
	"sort"
)

// ErrNoVolume says that there is no ISO 9660 volume at all.
var ErrNoVolume = errors.New("iso9660: no volume descriptor")

// FormatError is something in a volume that cannot be right, or that passes
// the limits of this package.
type FormatError struct {
	Offset int64 // of the byte in the volume where it stands
	Reason string
}

func (e *FormatError) Error() string { return fmt.Sprintf("iso9660: byte %d: %s", e.Offset, e.Reason) }

func damaged(offset int64, format string, args ...any) error {
	return &FormatError{Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// source is a volume's bytes.
type source struct {
	r    io.ReaderAt
	size int64
}

// read fills b from offset at.
func (s source) read(b []byte, at int64) error {
	if !s.holds(at, int64(len(b))) {
		return damaged(at, "%d bytes pass the end of the volume at %d", len(b), s.size)
	}
	n, err := s.r.ReadAt(b, at)
	switch {
	case n == len(b):
		return nil
	case err == nil || err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("iso9660: byte %d: %w", at+int64(n), err)
}

func (s source) holds(at, n int64) bool { return at >= 0 && n >= 0 && at <= s.size && n <= s.size-at }

// extent is one section of a file.
type extent struct {
	start  int64 // offset in the file
	offset int64 // offset in the volume
	size   int64
}

// content reads a file's extents as one.
type content struct {
	source
	extents []extent
}

// ReadAt implements [io.ReaderAt].
func (c content) ReadAt(b []byte, at int64) (int, error) {
	i := sort.Search(len(c.extents), func(i int) bool { return at < c.extents[i].start+c.extents[i].size })
	n := 0
	for ; i < len(c.extents) && n < len(b); i++ {
		e := c.extents[i]
		skip := at + int64(n) - e.start
		part := b[n:min(int64(len(b)), int64(n)+e.size-skip)]
		if err := c.read(part, e.offset+skip); err != nil {
			return n, err
		}
		n += len(part)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}
