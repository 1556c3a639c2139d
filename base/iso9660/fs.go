package iso9660

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Tree is which of a volume's descriptions of its files is read.
type Tree string

// The trees, in the order in which [Open] prefers them.
const (
	RockRidge Tree = "Rock Ridge" // names as they were, owners, modes, links
	Joliet    Tree = "Joliet"     // names as they were, if not too long
	Plain     Tree = "plain"      // names as Linux shows them: lower case, without version
)

// FS is a volume that is read. Its tree is in memory, its contents are read
// when they are asked for. It is safe for concurrent use, as its io.ReaderAt
// has to be.
//
// It implements [fs.ReadDirFS], [fs.StatFS] and [fs.ReadLinkFS]. Open and Stat
// follow symbolic links, absolute ones too, within the volume. What is neither
// file nor directory cannot be opened, nor can a file that is interleaved,
// sparse or compressed. Modes of the trees other than Rock Ridge are 0555 and 0444.
type FS struct {
	source
	volume Volume
	tree   Tree
	root   *entry
}

// Attributes are what [fs.FileInfo.Sys] of an [FS] returns, beyond the common.
type Attributes struct {
	UID, GID, Links uint32 // zero without Rock Ridge
	Offset          int64  // of the content's first byte in the volume, if there is any
}

// Open reads the volume of that size in r, which is used as long as the FS is.
// All directories are read now. The errors are [ErrNoVolume], a [FormatError],
// and those of r.
//
// Only the first primary and the first Joliet descriptor count, so of a disc
// with several sessions only the first is seen. Of entries with the same name
// the first is taken; bytes of a name that are not UTF-8 become U+FFFD. A
// directory that was relocated for its depth is shown in its own place, and
// the directory that holds nothing else is not. Only one way may lead to a directory.
func Open(r io.ReaderAt, size int64) (*FS, error) {
	return open(r, size, RockRidge, Joliet, Plain)
}

// OpenTree is Open for one tree, as readers see it that know no better. The
// error is [ErrNoVolume] too when the volume has no such tree.
func OpenTree(r io.ReaderAt, size int64, tree Tree) (*FS, error) { return open(r, size, tree) }

// open is Open with the trees that are wanted, the preferred ones first.
func open(r io.ReaderAt, size int64, trees ...Tree) (*FS, error) {
	src := source{r: r, size: size}
	d, err := src.descriptors()
	if err != nil {
		return nil, err
	}
	f := &FS{source: src, volume: d.volume()}
	for _, tree := range trees {
		s, err := src.scanner(d, tree)
		if err != nil {
			return nil, err
		}
		if s != nil {
			f.tree = tree
			f.root, err = s.scan()
			return f, err
		}
	}
	return nil, ErrNoVolume
}

// Label is the volume's label.
func (f *FS) Label() string { return f.volume.Label }

// Volume is what the volume says of itself.
func (f *FS) Volume() Volume { return f.volume }

// Tree is the tree that is read.
func (f *FS) Tree() Tree { return f.tree }

// Open implements [fs.FS]. A file also implements [io.Seeker] and [io.ReaderAt].
func (f *FS) Open(name string) (fs.File, error) {
	e, err := f.find(name, true)
	switch {
	case err != nil:
	case e.mode.IsDir():
		return &openDir{info: e.as(name), left: e.kids}, nil
	case !e.mode.IsRegular():
		err = errors.New("not a regular file")
	case e.unreadable != "":
		err = errors.New(e.unreadable)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	c := content{source: f.source, extents: e.extents}
	return &openFile{info: e.as(name), SectionReader: io.NewSectionReader(c, 0, e.size)}, nil
}

// Stat implements [fs.StatFS].
func (f *FS) Stat(name string) (fs.FileInfo, error) { return f.info("stat", name, true) }

// Lstat implements [fs.ReadLinkFS].
func (f *FS) Lstat(name string) (fs.FileInfo, error) { return f.info("lstat", name, false) }

func (f *FS) info(op, name string, follow bool) (fs.FileInfo, error) {
	e, err := f.find(name, follow)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return e.as(name), nil
}

// ReadDir implements [fs.ReadDirFS].
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	e, err := f.find(name, true)
	if err == nil && !e.mode.IsDir() {
		err = errors.New("not a directory")
	}
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	return dirEntries(e.kids), nil
}

// ReadLink implements [fs.ReadLinkFS].
func (f *FS) ReadLink(name string) (string, error) {
	e, err := f.find(name, false)
	if err == nil && e.mode.Type() != fs.ModeSymlink {
		err = fs.ErrInvalid
	}
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return e.target, nil
}

// maxLinks is how many symbolic links a name may lead through, as on Linux.
const maxLinks = 40

// find walks to a name. Links on the way are followed, one at its end too if
// follow says so; ".." in a link does not leave the volume.
func (f *FS) find(name string, follow bool) (*entry, error) {
	if !fs.ValidPath(name) {
		return nil, fs.ErrInvalid
	}
	way := []*entry{f.root}
	parts, links := strings.Split(name, "/"), 0
	for len(parts) > 0 {
		part, at := parts[0], way[len(way)-1]
		parts = parts[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			way = way[:max(1, len(way)-1)]
			continue
		}
		kid := at.kid(part)
		switch {
		case kid == nil:
			return nil, fs.ErrNotExist
		case kid.mode.Type() == fs.ModeSymlink && (follow || len(parts) > 0):
			if links++; links > maxLinks {
				return nil, errors.New("too many symbolic links")
			}
			if path.IsAbs(kid.target) {
				way = way[:1]
			}
			parts = slices.Concat(strings.Split(kid.target, "/"), parts)
		default:
			way = append(way, kid)
		}
	}
	return way[len(way)-1], nil
}
