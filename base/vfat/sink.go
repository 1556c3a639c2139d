package vfat

import (
	"fmt"
	"io"
)

const (
	sinkSize = 64 << 10
	// minHole is the shortest gap that is worth a hole: shorter ones cost less
	// as zeros than as one more write.
	minHole = 16 << 10
)

// sink takes a volume's bytes in rising order. What lies between is zeros.
type sink struct {
	out   func(p []byte, off int64) error
	holes bool // out may leave out what is zero
	buf   []byte
	pos   int64 // of buf[0] in the volume
}

func newSink(holes bool, out func([]byte, int64) error) *sink {
	return &sink{out: out, holes: holes, buf: make([]byte, 0, sinkSize)}
}

func (s *sink) flush() error {
	if len(s.buf) == 0 {
		return nil
	}
	err := s.out(s.buf, s.pos)
	s.pos += int64(len(s.buf))
	s.buf = s.buf[:0]
	return err
}

// room makes room in the buffer, at most n bytes, and returns it.
func (s *sink) room(n int64) ([]byte, error) {
	if len(s.buf) == cap(s.buf) {
		if err := s.flush(); err != nil {
			return nil, err
		}
	}
	free := s.buf[len(s.buf):cap(s.buf)]
	return free[:min(n, int64(len(free)))], nil
}

// seek goes on to off.
func (s *sink) seek(off int64) error {
	gap := off - s.pos - int64(len(s.buf))
	if s.holes && gap >= minHole {
		err := s.flush()
		s.pos = off
		return err
	}
	for gap > 0 {
		free, err := s.room(gap)
		if err != nil {
			return err
		}
		clear(free)
		s.buf = s.buf[:len(s.buf)+len(free)]
		gap -= int64(len(free))
	}
	return nil
}

// write appends p.
func (s *sink) write(p []byte) error {
	for len(p) > 0 {
		free, err := s.room(int64(len(p)))
		if err != nil {
			return err
		}
		p = p[copy(free, p):]
		s.buf = s.buf[:len(s.buf)+len(free)]
	}
	return nil
}

// file appends the content of f, which must have exactly its size.
func (s *sink) file(f *File) (err error) {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer func() {
		if cerr := r.Close(); err == nil {
			err = cerr
		}
	}()
	for done := int64(0); done < f.Size; {
		free, err := s.room(f.Size - done)
		if err != nil {
			return err
		}
		n, err := io.ReadFull(r, free)
		s.buf = s.buf[:len(s.buf)+n]
		done += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return fmt.Errorf("content ends after %d of %d bytes", done, f.Size)
		}
		if err != nil {
			return err
		}
	}
	var more [1]byte
	switch _, err := io.ReadFull(r, more[:]); err {
	case io.EOF:
		return nil
	case nil:
		return fmt.Errorf("content is longer than %d bytes", f.Size)
	default:
		return err
	}
}
