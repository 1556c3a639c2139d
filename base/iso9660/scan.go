package iso9660

import (
	"io/fs"
	"path"
	"slices"
	"strings"
)

// scanner reads the directories of one tree.
type scanner struct {
	source
	tree      Tree
	rootAt    rawRecord
	blockSize int64
	skip      int   // bytes before the first entry of a system use, but for the root's own (SUSP 5.3)
	budget    int64 // bytes that may still be read
	entries   int
	seen      map[int64]bool // directories, by offset
	queue     []pending
}

// pending is a directory that is to be read.
type pending struct {
	*entry
	path     string
	at, size int64
}

// scanner prepares the reading of a tree; nil if the volume has no such tree.
func (s source) scanner(d descriptors, tree Tree) (*scanner, error) {
	from := d.primary
	if tree == Joliet {
		if from = d.joliet; from == nil {
			return nil, nil
		}
	}
	size, err := from.blockSize()
	if err != nil {
		return nil, err
	}
	sc := &scanner{source: s, tree: tree, rootAt: from.root(), blockSize: size, budget: maxMetadata, seen: map[int64]bool{}}
	if err := sc.rootAt.check(); err != nil {
		return nil, err
	}
	if tree == RockRidge {
		if found, err := sc.findRockRidge(); err != nil || !found {
			return nil, err
		}
	}
	return sc, nil
}

// scan reads all directories, each once, level by level.
func (s *scanner) scan() (*entry, error) {
	root := &entry{name: ".", mode: fs.ModeDir | 0o555}
	if err := s.enqueue(root, ".", s.rootAt, s.rootAt.block(), s.rootAt.size()); err != nil {
		return nil, err
	}
	emptied := map[*entry]bool{} // directories that hold nothing but relocated ones
	for len(s.queue) > 0 {
		d := s.queue[0]
		s.queue = s.queue[1:]
		relocated, err := s.directory(d)
		if err != nil {
			return nil, err
		}
		if relocated > 0 && len(d.kids) == 0 {
			emptied[d.entry] = true
		}
	}
	root.kids = slices.DeleteFunc(root.kids, func(e *entry) bool { return emptied[e] })
	return root, nil
}

// enqueue notes a directory that a record names.
func (s *scanner) enqueue(e *entry, name string, r rawRecord, block, size int64) error {
	at := block * s.blockSize
	e.attributes.Offset = at
	if size == 0 {
		return nil
	}
	if s.seen[at] {
		return damaged(r.offset, "directory at byte %d is reached a second time", at)
	}
	s.seen[at] = true
	s.queue = append(s.queue, pending{entry: e, path: name, at: at, size: size})
	return nil
}

// directory reads the entries of d; it returns how many of them are
// directories that belong elsewhere.
func (s *scanner) directory(d pending) (relocated int, err error) {
	var open *entry // a file that has more sections
	var openID string
	err = s.eachRecord(d.at, d.size, func(r rawRecord) error {
		switch {
		case r.flags()&flagAssociated != 0 || r.id() == parentID:
			return nil
		case r.id() == rootID:
			return s.self(d.entry, r)
		case open != nil && (r.id() != openID || r.isDir()):
			return damaged(r.offset, "a file of several sections ends without its last one")
		}
		if open == nil {
			e, err := s.entry(d, r)
			if err != nil {
				return err
			}
			if e == nil {
				relocated++
				return nil
			}
			d.kids = append(d.kids, e)
			open, openID = e, r.id()
		}
		if !r.isDir() && open.mode.IsRegular() {
			if err := s.extend(open, r); err != nil {
				return err
			}
		}
		if r.flags()&flagMultiExtent == 0 {
			open = nil
		}
		return nil
	})
	if err == nil && open != nil {
		err = damaged(d.at+d.size, "a file of several sections ends without its last one")
	}
	slices.SortStableFunc(d.kids, func(a, b *entry) int { return strings.Compare(a.name, b.name) })
	d.kids = slices.CompactFunc(d.kids, func(a, b *entry) bool { return a.name == b.name })
	return relocated, err
}

// self takes a directory's attributes from its own record, as Linux does: that
// of its parent is not the real one for the root and for what was relocated.
func (s *scanner) self(e *entry, r rawRecord) error {
	e.modTime = parseDate(r.date())
	if s.tree != RockRidge {
		return nil
	}
	u, err := s.systemUse(r)
	if err != nil {
		return err
	}
	u.describe(e)
	return nil
}

// extend adds the section of a record to a file.
func (s *scanner) extend(e *entry, r rawRecord) error {
	x := extent{start: e.size, offset: r.block() * s.blockSize, size: r.size()}
	switch {
	case r.isSplit():
		e.unreadable = "interleaved files are not supported"
	case x.size == 0:
		return nil
	case !s.holds(x.offset, x.size) || x.size > s.size-e.size:
		return damaged(r.offset, "file of %d bytes at byte %d passes the end of the volume at %d", e.size+x.size, x.offset, s.size)
	case e.size == 0:
		e.attributes.Offset = x.offset
	}
	e.extents = append(e.extents, x)
	e.size += x.size
	return nil
}

// entry makes an entry of a record, nil if it belongs elsewhere.
func (s *scanner) entry(d pending, r rawRecord) (*entry, error) {
	if s.entries++; s.entries > maxEntries {
		return nil, damaged(r.offset, "more than %d files and directories", maxEntries)
	}
	var u use
	var err error
	block, size, isDir := r.block(), r.size(), r.isDir()
	if s.tree == RockRidge {
		if u, err = s.systemUse(r); err != nil || u.relocated {
			return nil, err
		}
		if u.child != 0 {
			block, isDir = u.child, true
			if size, err = s.childSize(r, block); err != nil {
				return nil, err
			}
		}
	}
	e := &entry{name: s.name(r.id(), u), mode: 0o444, modTime: parseDate(r.date())}
	if isDir {
		e.mode = fs.ModeDir | 0o555
	}
	u.describe(e)
	full := path.Join(d.path, e.name)
	switch {
	case e.name == "" || e.name == "." || e.name == ".." || strings.ContainsAny(e.name, "/\x00"):
		return nil, damaged(r.offset, "name %q", e.name)
	case len(full) > maxPath:
		return nil, damaged(r.offset, "path is longer than %d bytes", maxPath)
	case isDir:
		err = s.enqueue(e, full, r, block, size)
	}
	return e, err
}

// name is the name that a record stands for.
func (s *scanner) name(id string, u use) string {
	name := u.name
	switch {
	case s.tree == Joliet:
		name = strings.TrimSuffix(fromUCS2([]byte(id)), ";1")
	case name == "":
		name = plainName(id)
	}
	return strings.ToValidUTF8(name, "\uFFFD")
}
