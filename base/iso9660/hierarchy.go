package iso9660

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The two hierarchies of a volume: the same nodes, the same contents.
const (
	primary = iota // identifiers of 7.5, with Rock Ridge
	joliet         // identifiers of UCS-2
)

// maxDirectories is how many the 16 bits of a parent's number can tell (9.4.4).
const maxDirectories = 1<<16 - 1

// hierarchy is one tree of directories (6.8), in the order of its path table:
// by level, parent and identifier (6.9.1).
type hierarchy struct {
	kind   int // index of node.ids and node.dirs
	dirs   []*directory
	tables [2]int64 // first blocks of the path tables: little endian, big endian
}

// directory is a node's place in a hierarchy.
type directory struct {
	*node
	number int     // in the path table, from 1
	kids   []*node // in the order of their records (9.3)
	block  int64
	size   int64 // bytes, whole sectors
}

func newHierarchy(kind int, root *node) (*hierarchy, error) {
	h := &hierarchy{kind: kind}
	h.add(root)
	for i := 0; i < len(h.dirs); i++ {
		d := h.dirs[i]
		d.kids = h.sorted(d.node)
		d.subdirs = 0
		for _, k := range d.kids {
			if k.isDir() {
				d.subdirs++
				h.add(k)
			}
		}
	}
	if len(h.dirs) > maxDirectories {
		return nil, fmt.Errorf("%d directories are more than %d", len(h.dirs), maxDirectories)
	}
	return h, nil
}

func (h *hierarchy) add(n *node) {
	d := &directory{node: n, number: len(h.dirs) + 1}
	n.dirs[h.kind] = d
	h.dirs = append(h.dirs, d)
}

// sorted names the entries of a directory and puts them in order.
func (h *hierarchy) sorted(dir *node) []*node {
	names := slices.Sorted(maps.Keys(dir.kids))
	kids := make([]*node, len(names))
	m := namer{taken: make(map[string]bool, len(names)), next: map[string]int{}}
	for i, name := range names {
		kids[i] = dir.kids[name]
		if h.kind == joliet {
			kids[i].ids[joliet] = ucs2(name)
		} else {
			kids[i].ids[primary] = m.identifier(name, kids[i].isDir())
		}
	}
	slices.SortFunc(kids, func(a, b *node) int { return h.compare(a.ids[h.kind], b.ids[h.kind]) })
	return kids
}

// compare orders identifiers: Joliet ones by their bytes, primary ones by what
// is before the last dot, then by what follows (9.3). No character sorts below
// the space that the standard pads with, so nothing need be padded.
func (h *hierarchy) compare(a, b string) int {
	if h.kind == joliet {
		return strings.Compare(a, b)
	}
	stemA, extensionA := split(a)
	stemB, extensionB := split(b)
	return cmp.Or(strings.Compare(stemA, stemB), strings.Compare(extensionA, extensionB))
}

func split(id string) (stem, extension string) {
	id = strings.TrimSuffix(id, ";1")
	if i := strings.LastIndexByte(id, '.'); i >= 0 {
		return id[:i], id[i+1:]
	}
	return id, ""
}
