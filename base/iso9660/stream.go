package iso9660

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// streamBuffer is the memory that contents pass through.
const streamBuffer = 128 << 10

// stream writes sectors one after the other. An error of the writer below
// stays: put and pad need no check, flush and copy say it.
type stream struct {
	out     *counter
	buf     *bufio.Writer
	at      int64 // bytes so far
	scratch [sector]byte
	zeros   [sector]byte
}

func newStream(w io.Writer) *stream {
	c := &counter{w: w}
	return &stream{out: c, buf: bufio.NewWriterSize(c, streamBuffer)}
}

func (s *stream) put(b []byte) {
	n, _ := s.buf.Write(b)
	s.at += int64(n)
}

// putRecord writes a record that must not cross a sector's end (6.8.1.1).
func (s *stream) putRecord(b []byte) {
	if s.at%sector+int64(len(b)) > sector {
		s.pad()
	}
	s.put(b)
}

// pad fills the sector up with zeros.
func (s *stream) pad() {
	if n := s.at % sector; n > 0 {
		s.put(s.zeros[n:])
	}
}

// copy writes the content of f and pads it.
func (s *stream) copy(f File) (err error) {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	n, err := s.buf.ReadFrom(io.LimitReader(r, f.Size))
	s.at += n
	if err != nil {
		return err
	}
	if n < f.Size {
		return fmt.Errorf("content ends after %d bytes of %d: %w", n, f.Size, io.ErrUnexpectedEOF)
	}
	switch _, err := io.ReadFull(r, s.scratch[:1]); err {
	case io.EOF:
	case nil:
		return fmt.Errorf("content is longer than its %d bytes", f.Size)
	default:
		return err
	}
	s.pad()
	return nil
}

func (s *stream) flush() error { return s.buf.Flush() }

// counter counts what w took, and keeps its error apart from those of openers.
type counter struct {
	w   io.Writer
	n   int64
	err error
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	c.err = err
	return n, err
}
