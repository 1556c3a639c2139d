package iso9660

import (
	"fmt"
	"io"
	"io/fs"
	"time"
)

// File is one file or directory of an [Image].
type File struct {
	// Path is relative, with slashes, as of [fs.ValidPath]; "." is the root,
	// for its attributes. Directories on the way need not be listed: they are
	// then 0555, of user and group 0, and of the volume's date.
	//
	// Names are UTF-8 of at most 103 UTF-16 units, without control characters
	// and * / : ; ? \, so that Joliet carries them unchanged.
	Path string
	// Mode has the permissions, and fs.ModeDir for a directory. Permissions
	// of zero mean 0444, or 0555 for a directory, as on Nova's drives.
	Mode     fs.FileMode
	UID, GID uint32
	ModTime  time.Time // to the second, years 1900 to 2155; zero: the volume's date
	Size     int64     // bytes; zero for a directory
	// Open gives the content, exactly Size bytes. It is called once per
	// writing, when the content's turn has come, and not for empty files.
	Open func() (io.ReadCloser, error)
}

// Image is a volume to be written. It may be written several times, also at
// once if its openers allow that.
type Image struct {
	Volume
	Files []File
}

// Plan is an Image with every block assigned, ready to be written. It may be
// written several times, one after the other; the files must not change.
type Plan struct{ l *layout }

// Plan checks the image and lays it out. The errors are those of WriteTo that
// need no content: a text, a name or a size that the format cannot carry, a
// path that escapes or that is listed twice. They name the path.
func (i Image) Plan() (*Plan, error) {
	l, err := i.layout()
	if err != nil {
		return nil, fmt.Errorf("iso9660: %w", err)
	}
	return &Plan{l}, nil
}

// Size is the number of bytes that WriteTo will write.
func (p *Plan) Size() int64 { return p.l.size() }

// WriteTo writes the volume and returns the number of bytes written. An error
// of w comes back wrapped; an error of an opener, or a content that is not Size
// bytes long, also names the file's path.
func (p *Plan) WriteTo(w io.Writer) (int64, error) {
	s := newStream(w)
	if err := p.l.write(s); err != nil {
		return s.out.n, fmt.Errorf("iso9660: %w", err)
	}
	return s.out.n, nil
}

// WriteTo plans the image and writes it. Nothing is written of an Image that
// Plan refuses.
func (i Image) WriteTo(w io.Writer) (int64, error) {
	p, err := i.Plan()
	if err != nil {
		return 0, err
	}
	return p.WriteTo(w)
}
