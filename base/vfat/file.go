package vfat

import (
	"io"
	"io/fs"
)

// markEvery is the distance of the clusters that an open file remembers, so
// that going back costs little.
const markEvery = 1024

// openFile is an open file. Read and Seek are for one goroutine, ReadAt for
// many.
type openFile struct {
	v    *FS
	e    *entry
	path string
	pos  int64

	// Under v.mu: where in the chain it was last, and every 1024th cluster.
	index   int64
	cluster uint32
	marks   []uint32
}

func (f *openFile) Stat() (fs.FileInfo, error) { return info{f.e}, nil }
func (f *openFile) Close() error               { return nil }

// Read gives the next bytes.
func (f *openFile) Read(b []byte) (int, error) {
	n, err := f.readAt("read", b, f.pos)
	f.pos += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// Seek sets where the next Read starts.
func (f *openFile) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.pos
	case io.SeekEnd:
		offset += f.e.size
	}
	if offset < 0 || whence < io.SeekStart || whence > io.SeekEnd {
		return 0, &fs.PathError{Op: "seek", Path: f.path, Err: fs.ErrInvalid}
	}
	f.pos = offset
	return offset, nil
}

// ReadAt reads at off as [io.ReaderAt] says.
func (f *openFile) ReadAt(b []byte, off int64) (int, error) { return f.readAt("readat", b, off) }

func (f *openFile) readAt(op string, b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, &fs.PathError{Op: op, Path: f.path, Err: fs.ErrInvalid}
	}
	if len(b) == 0 {
		return 0, nil
	}
	if off >= f.e.size {
		return 0, io.EOF
	}
	want, n := b[:min(int64(len(b)), f.e.size-off)], 0
	for n < len(want) {
		at, length, err := f.run(off+int64(n), int64(len(want)-n))
		if err == nil {
			err = readFull(f.v.r, want[n:n+int(length)], at)
		}
		if err != nil {
			return n, &fs.PathError{Op: op, Path: f.path, Err: err}
		}
		n += int(length)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// run finds where byte off of the file lies in the volume, and how many of the
// want bytes from there on lie in one piece.
func (f *openFile) run(off, want int64) (at, length int64, err error) {
	f.v.mu.Lock()
	defer f.v.mu.Unlock()
	size := f.v.g.cluster
	if err := f.goTo(off / size); err != nil {
		return 0, 0, err
	}
	at = f.v.g.clusterOff(f.cluster) + off%size
	length = size - off%size
	for length < want {
		last := f.cluster
		if err := f.goTo(f.index + 1); err != nil {
			return 0, 0, err
		}
		if f.cluster != last+1 {
			break
		}
		length += size
	}
	return at, min(length, want), nil
}

// goTo makes cluster the index-th of the chain.
func (f *openFile) goTo(index int64) error {
	if len(f.marks) == 0 {
		f.marks = []uint32{f.e.first}
		f.index, f.cluster = 0, f.e.first
	}
	mark := min(index/markEvery, int64(len(f.marks)-1))
	if index < f.index || mark*markEvery > f.index {
		f.index, f.cluster = mark*markEvery, f.marks[mark]
	}
	for f.index < index {
		next, err := f.v.table.next(f.cluster)
		if err != nil {
			return err
		}
		if next == 0 {
			return damage(f.v.g.fatOff+int64(f.cluster)*int64(f.v.g.typ)/8, "%s: the chain of clusters ends early", f.e.name)
		}
		f.index, f.cluster = f.index+1, next
		if f.index == int64(len(f.marks))*markEvery {
			f.marks = append(f.marks, next)
		}
	}
	return nil
}
