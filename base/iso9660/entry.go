package iso9660

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// entry is a file or directory of a volume that is read.
type entry struct {
	name       string
	mode       fs.FileMode
	size       int64
	modTime    time.Time
	attributes Attributes
	extents    []extent
	target     string   // of a symbolic link
	unreadable string   // why the content cannot be read
	kids       []*entry // by name
}

func (e *entry) kid(name string) *entry {
	i, ok := slices.BinarySearchFunc(e.kids, name, func(k *entry, name string) int { return strings.Compare(k.name, name) })
	if !ok {
		return nil
	}
	return e.kids[i]
}

// as is the entry's information under the last element of a name, which may
// be that of a link to it.
func (e *entry) as(name string) info { return info{e, path.Base(name)} }

// info implements [fs.FileInfo].
type info struct {
	*entry
	called string
}

func (i info) Name() string       { return i.called }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return i.modTime }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return i.attributes }

func dirEntries(kids []*entry) []fs.DirEntry {
	list := make([]fs.DirEntry, len(kids))
	for i, k := range kids {
		list[i] = fs.FileInfoToDirEntry(k.as(k.name))
	}
	return list
}

// openFile is an opened file; closing it does nothing.
type openFile struct {
	info info
	*io.SectionReader
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }

// openDir is an opened directory.
type openDir struct {
	info info
	left []*entry
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }

func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.called, Err: errors.New("is a directory")}
}

// ReadDir implements [fs.ReadDirFile].
func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	take := len(d.left)
	if n > 0 {
		if take == 0 {
			return nil, io.EOF
		}
		take = min(n, take)
	}
	list := dirEntries(d.left[:take])
	d.left = d.left[take:]
	return list, nil
}
