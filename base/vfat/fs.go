package vfat

import (
	"errors"
	"io"
	"io/fs"
	"sort"
	"strings"
	"time"
)

// Open opens a file or a directory. Opening a file follows its chain of
// clusters, so that one that is too short is an error here.
func (v *FS) Open(name string) (fs.File, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	e, err := v.lookup(name)
	if err == nil && e.dir {
		var entries []entry
		if entries, err = v.list(e); err == nil {
			return &openDir{e: e, path: name, rest: entries}, nil
		}
	}
	if err == nil {
		err = v.claimFile(e)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &openFile{v: v, e: e, path: name}, nil
}

// claimFile checks the size and the chain of a file.
func (v *FS) claimFile(e *entry) error {
	clusters := ceil(e.size, v.g.cluster) / v.g.cluster
	if clusters == 0 {
		return nil
	}
	if clusters > int64(v.g.clusters) {
		return damage(e.at+28, "%s has %d bytes, the volume %d", e.name, e.size, v.g.end)
	}
	return v.claim(e, clusters)
}

// Stat describes a file or a directory without opening it.
func (v *FS) Stat(name string) (fs.FileInfo, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	e, err := v.lookup(name)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return info{e}, nil
}

// ReadDir lists a directory, sorted by name.
func (v *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	e, err := v.lookup(name)
	if err == nil && !e.dir {
		err = errNotDir
	}
	var entries []entry
	if err == nil {
		entries, err = v.list(e)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	return dirEntries(entries), nil
}

var (
	errNotDir = errors.New("not a directory")
	errIsDir  = errors.New("is a directory")
)

// lookup finds the entry of a path.
func (v *FS) lookup(path string) (*entry, error) {
	if !fs.ValidPath(path) {
		return nil, fs.ErrInvalid
	}
	e := v.root()
	if path == "." {
		return e, nil
	}
	depth := 0
	for name := range strings.SplitSeq(path, "/") {
		if !e.dir {
			return nil, fs.ErrNotExist
		}
		if depth++; depth > maxDepth {
			return nil, damage(e.at, "more than %d names deep", maxDepth)
		}
		entries, err := v.list(e)
		if err != nil {
			return nil, err
		}
		if e = find(entries, name); e == nil {
			return nil, fs.ErrNotExist
		}
	}
	return e, nil
}

// find looks name up: as it is, else in any case, else among the aliases. FAT
// 1.03 "Name Matching In Short & Long Names".
func find(entries []entry, name string) *entry {
	i := sort.Search(len(entries), func(i int) bool { return entries[i].name >= name })
	if i < len(entries) && entries[i].name == name {
		return &entries[i]
	}
	for i := range entries {
		if strings.EqualFold(entries[i].name, name) {
			return &entries[i]
		}
	}
	for i := range entries {
		if strings.EqualFold(entries[i].short.String(), name) {
			return &entries[i]
		}
	}
	return nil
}

// info is an entry seen as fs.FileInfo and fs.DirEntry.
type info struct{ e *entry }

func (i info) Name() string               { return i.e.name }
func (i info) Size() int64                { return i.e.size }
func (i info) ModTime() time.Time         { return i.e.modTime }
func (i info) IsDir() bool                { return i.e.dir }
func (i info) Type() fs.FileMode          { return i.Mode().Type() }
func (i info) Info() (fs.FileInfo, error) { return i, nil }
func (i info) Sys() any                   { return nil }

func (i info) Mode() fs.FileMode {
	if i.e.dir {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

func dirEntries(entries []entry) []fs.DirEntry {
	list := make([]fs.DirEntry, len(entries))
	for i := range entries {
		list[i] = info{&entries[i]}
	}
	return list
}

// openDir is an open directory.
type openDir struct {
	e    *entry
	path string
	rest []entry
}

func (d *openDir) Stat() (fs.FileInfo, error) { return info{d.e}, nil }
func (d *openDir) Close() error               { return nil }

func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.path, Err: errIsDir}
}

// ReadDir gives the next n entries, or all that are left, as [fs.ReadDirFile]
// says.
func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n > 0 && len(d.rest) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(d.rest) {
		n = len(d.rest)
	}
	list := dirEntries(d.rest[:n])
	d.rest = d.rest[n:]
	return list, nil
}
