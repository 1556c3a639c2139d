package iso9660

import (
	"io/fs"
	"slices"
	"strings"
)

// listing is a directory while its records are read.
type listing struct {
	*scanner
	dir       pending
	kids      []*entry
	open      *entry // a file that has more sections
	openID    string
	relocated bool // some entries belong elsewhere
}

func (l *listing) read() error {
	if err := l.eachRecord(l.dir.at, l.dir.size, l.add); err != nil {
		return err
	}
	if l.open != nil {
		return damaged(l.dir.at+l.dir.size, "a file of several sections ends without its last one")
	}
	return nil
}

// sorted is the entries by name; of the same name the first.
func (l *listing) sorted() []*entry {
	slices.SortStableFunc(l.kids, func(a, b *entry) int { return strings.Compare(a.name, b.name) })
	return slices.CompactFunc(l.kids, func(a, b *entry) bool { return a.name == b.name })
}

// add takes the next record.
func (l *listing) add(r rawRecord) error {
	id := r.id()
	switch {
	case r.flags()&flagAssociated != 0 || id == parentID:
		return nil
	case id == rootID:
		return l.self(r)
	case l.open != nil && (id != l.openID || r.isDir()):
		return damaged(r.offset, "a file of several sections ends without its last one")
	}
	e := l.open
	if e == nil {
		var err error
		if e, err = l.entry(r); err != nil || e == nil {
			l.relocated = l.relocated || e == nil
			return err
		}
		l.kids = append(l.kids, e)
	}
	l.open, l.openID = nil, id
	if r.flags()&flagMultiExtent != 0 {
		l.open = e
	}
	if r.isDir() || !e.mode.IsRegular() {
		return nil
	}
	return l.extend(e, r)
}

// self takes a directory's attributes from its own record, as Linux does: that
// of its parent is not the real one for the root and for what was relocated.
func (l *listing) self(r rawRecord) error {
	l.dir.modTime = parseDate(r.date())
	if l.tree != RockRidge {
		return nil
	}
	u, err := l.systemUse(r)
	if err != nil {
		return err
	}
	u.describe(l.dir.entry)
	return nil
}

// extend adds the section of a record to a file.
func (l *listing) extend(e *entry, r rawRecord) error {
	x := extent{start: e.size, offset: r.block() * l.blockSize, size: r.size()}
	if r.isSplit() {
		e.unreadable = "interleaved files are not supported"
	}
	switch {
	case x.size == 0:
		return nil
	case !l.holds(x.offset, x.size) || x.size > l.size-e.size:
		return damaged(r.offset, "file of %d bytes at byte %d passes the end of the volume at %d", e.size+x.size, x.offset, l.size)
	case e.size == 0:
		e.attributes.Offset = x.offset
	}
	e.extents = append(e.extents, x)
	e.size += x.size
	return nil
}

// entry makes an entry of a record, nil if it belongs elsewhere.
func (l *listing) entry(r rawRecord) (*entry, error) {
	if l.entries++; l.entries > maxEntries {
		return nil, damaged(r.offset, "more than %d files and directories", maxEntries)
	}
	var u use
	var err error
	block, size, isDir := r.block(), r.size(), r.isDir()
	if l.tree == RockRidge {
		if u, err = l.systemUse(r); err != nil || u.relocated {
			return nil, err
		}
		if u.child != 0 {
			block, isDir = u.child, true
			if size, err = l.childSize(r, block); err != nil {
				return nil, err
			}
		}
	}
	e := &entry{name: l.name(r.id(), u), mode: 0o444, modTime: parseDate(r.date())}
	if isDir {
		e.mode = fs.ModeDir | 0o555
	}
	u.describe(e)
	length := l.dir.path + len(e.name)
	switch {
	case e.name == "" || e.name == "." || e.name == ".." || strings.ContainsAny(e.name, "/\x00"):
		return nil, damaged(r.offset, "name %q", e.name)
	case length > maxPath:
		return nil, damaged(r.offset, "path is longer than %d bytes", maxPath)
	case isDir:
		err = l.enqueue(e, length+1, r, block, size)
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
