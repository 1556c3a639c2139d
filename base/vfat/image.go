package vfat

import (
	"io"
	"time"
)

// File is a file of an [Image], or a directory.
type File struct {
	// Path is relative, with slashes, as [io/fs.ValidPath] wants it. A slash at
	// the end makes a directory; directories in front of a name are made by
	// themselves. A name has at most 255 UTF-16 units and none of the
	// characters "*:<>?\| and those below 0x20, no space at either end and no
	// period at the end; names that differ only in case are the same name.
	Path string
	// ModTime is kept to two seconds, in UTC, from 1980 to 2107; a time outside
	// becomes the nearest inside. The zero time stands for the image's Time.
	ModTime time.Time
	// Size is exactly how many bytes Open's reader gives, below 4 GiB.
	Size int64
	// Open gives the content; it is called once per writing, and the reader is
	// closed. It may be nil when Size is 0.
	Open func() (io.ReadCloser, error)
}

// Image describes a volume. The zero Image is the smallest empty FAT16 volume.
type Image struct {
	Label    string    // at most 11 ASCII characters, in any case; "" is none
	VolumeID uint32    // the serial number
	Size     int64     // of the volume in bytes; 0 is the smallest that holds the files
	Type     Type      // Auto chooses
	Time     time.Time // of the label, and of what has no time of its own
	Files    []File    // in any order; the volume has them sorted
}

// SparseFile takes a volume with holes; an [*os.File] of a regular file is one.
type SparseFile interface {
	io.WriterAt
	Truncate(size int64) error
}

// WriteTo plans im and writes the volume to w in one pass. It returns how many
// bytes w took; an error of the plan comes before the first.
func (im *Image) WriteTo(w io.Writer) (int64, error) {
	p, err := im.Plan()
	if err != nil {
		return 0, err
	}
	return p.WriteTo(w)
}

// WriteSparse plans im and makes the volume the whole content of f, with holes
// where it is unused. An error of the plan leaves f as it was.
func (im *Image) WriteSparse(f SparseFile) error {
	p, err := im.Plan()
	if err != nil {
		return err
	}
	return p.WriteSparse(f)
}
