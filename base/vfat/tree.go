package vfat

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// node is a file or a directory of a volume to be written.
type node struct {
	name    string
	long    []uint16 // nil when the short name says it all
	short   shortName
	file    *File // nil for a directory
	modTime time.Time
	parent  *node // nil for the root

	byName   map[string]*node // children by folded name; nil for a file
	children []*node          // sorted by name

	first    uint32 // cluster; 0 for an empty file and for the root of FAT12 and FAT16
	clusters uint32
}

func newDir(parent *node, name string, long []uint16, t time.Time) *node {
	return &node{parent: parent, name: name, long: long, modTime: t, byName: map[string]*node{}}
}

func (n *node) isDir() bool { return n.byName != nil }

func (n *node) path() string {
	if n.parent == nil || n.parent.parent == nil {
		return n.name
	}
	return n.parent.path() + "/" + n.name
}

// buildTree sorts the files into directories, names and checks them.
func (im *Image) buildTree() (*node, error) {
	root := newDir(nil, ".", nil, im.Time)
	for i := range im.Files {
		if err := root.add(&im.Files[i], im.Time); err != nil {
			return nil, fmt.Errorf("vfat: %s: %w", im.Files[i].Path, err)
		}
	}
	return root, root.finish(im.Label != "")
}

// add puts f where its path says, with the directories in front of it.
func (n *node) add(f *File, t time.Time) error {
	path, isDir := strings.CutSuffix(f.Path, "/")
	if !fs.ValidPath(path) || path == "." {
		return errors.New("not a path inside the volume")
	}
	if f.Size < 0 || f.Size > 0 && (isDir || f.Open == nil) {
		return fmt.Errorf("%d bytes without an opener", f.Size)
	}
	if f.Size > maxFileSize {
		return fmt.Errorf("%w: %d bytes; a file on FAT has at most %d", ErrTooBig, f.Size, int64(maxFileSize))
	}
	if strings.Count(path, "/") >= maxDepth {
		return fmt.Errorf("more than %d names deep", maxDepth)
	}
	names := strings.Split(path, "/")
	for _, name := range names[:len(names)-1] {
		d, err := n.dir(name, t)
		if err != nil {
			return err
		}
		n = d
	}
	if !f.ModTime.IsZero() {
		t = f.ModTime
	}
	return n.addLast(names[len(names)-1], f, isDir, t)
}

func (n *node) addLast(name string, f *File, isDir bool, t time.Time) error {
	if isDir {
		d, err := n.dir(name, t)
		if err == nil {
			d.modTime = t
		}
		return err
	}
	long, err := longUnits(name)
	if err != nil {
		return err
	}
	key := fold(name)
	if old := n.byName[key]; old != nil {
		return fmt.Errorf("the name %s is taken by %s", name, old.path())
	}
	n.byName[key] = &node{parent: n, name: name, long: long, file: f, modTime: t}
	return nil
}

// dir gives the directory name of n, made if need be.
func (n *node) dir(name string, t time.Time) (*node, error) {
	key := fold(name)
	old := n.byName[key]
	if old != nil && old.isDir() && old.name == name {
		return old, nil
	}
	if old != nil {
		return nil, fmt.Errorf("the name %s is taken by %s", name, old.path())
	}
	long, err := longUnits(name)
	if err != nil {
		return nil, err
	}
	d := newDir(n, name, long, t)
	n.byName[key] = d
	return d, nil
}

// finish sorts n's children, here and below, and gives them their aliases.
func (n *node) finish(label bool) error {
	for _, c := range n.byName {
		n.children = append(n.children, c)
	}
	slices.SortFunc(n.children, func(a, b *node) int { return cmp.Compare(a.name, b.name) })
	if err := n.giveAliases(); err != nil {
		return err
	}
	if e := n.entries(label); e > maxDirEntries {
		return fmt.Errorf("vfat: %s: %w: %d directory entries; FAT carries %d", n.path(), ErrTooBig, e, maxDirEntries)
	}
	for _, c := range n.children {
		if !c.isDir() {
			continue
		}
		if err := c.finish(false); err != nil {
			return err
		}
	}
	return nil
}

// longEntries counts the directory entries of n's long name.
func (n *node) longEntries() int {
	return (len(n.long) + unitsPerEntry - 1) / unitsPerEntry
}

// entries counts the directory entries that n holds; label is whether the
// volume's label is one of the root's.
func (n *node) entries(label bool) int {
	count := 2 // "." and ".."
	if n.parent == nil {
		count = 0
		if label {
			count = 1
		}
	}
	for _, c := range n.children {
		count += c.longEntries() + 1
	}
	return count
}

// all gives the directories below and with n in order, then the files.
func (n *node) all() []*node {
	var dirs, files []*node
	var walk func(*node)
	walk = func(d *node) {
		dirs = append(dirs, d)
		for _, c := range d.children {
			if c.isDir() {
				walk(c)
				continue
			}
			files = append(files, c)
		}
	}
	walk(n)
	return append(dirs, files...)
}
