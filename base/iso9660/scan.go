package iso9660

import (
	"io/fs"
	"slices"
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
	path     int // bytes of its path, with a slash at the end
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
	if err := s.enqueue(root, 0, s.rootAt, s.rootAt.block(), s.rootAt.size()); err != nil {
		return nil, err
	}
	emptied := map[*entry]bool{} // directories that hold nothing but relocated ones
	for len(s.queue) > 0 {
		d := s.queue[0]
		s.queue = s.queue[1:]
		l := listing{scanner: s, dir: d}
		if err := l.read(); err != nil {
			return nil, err
		}
		d.kids = l.sorted()
		emptied[d.entry] = l.relocated && len(d.kids) == 0
	}
	root.kids = slices.DeleteFunc(root.kids, func(e *entry) bool { return emptied[e] })
	return root, nil
}

// enqueue notes a directory that a record names.
func (s *scanner) enqueue(e *entry, path int, r rawRecord, block, size int64) error {
	at := block * s.blockSize
	e.attributes.Offset = at
	if size == 0 {
		return nil
	}
	if s.seen[at] {
		return damaged(r.offset, "directory at byte %d is reached a second time", at)
	}
	s.seen[at] = true
	s.queue = append(s.queue, pending{entry: e, path: path, at: at, size: size})
	return nil
}
