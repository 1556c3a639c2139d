package vfat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	tablePage  = 8 << 10 // a whole table of FAT12 lies in one
	tablePages = 16
)

// table reads the entries of the file allocation table through a small cache.
type table struct {
	r     io.ReaderAt
	g     *geometry
	pages [tablePages]struct {
		from  int64 // in the table; valid if bytes is not nil
		bytes []byte
	}
}

// readFull reads all of b at off of the volume.
func readFull(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	switch {
	case n == len(b):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return damage(off+int64(n), "the volume ends here")
	}
	return fmt.Errorf("vfat: read at byte %d: %w", off, err)
}

// page gives the table's bytes from off to the end of its page.
func (t *table) page(off int64) ([]byte, error) {
	from := off / tablePage * tablePage
	p := &t.pages[off/tablePage%tablePages]
	if p.bytes == nil || p.from != from {
		b := p.bytes[:0]
		if b == nil {
			b = make([]byte, 0, min(tablePage, t.g.fatLen))
		}
		b = b[:min(tablePage, t.g.fatLen-from)]
		p.bytes = nil
		if err := readFull(t.r, b, t.g.fatOff+from); err != nil {
			return nil, err
		}
		p.from, p.bytes = from, b
	}
	return p.bytes[off-from:], nil
}

// next gives the cluster after c in its chain, or 0 at the end. c is a data
// cluster. FAT 1.03 "FAT Data Structure".
func (t *table) next(c uint32) (uint32, error) {
	off := int64(c) * int64(t.g.typ) / 8
	b, err := t.page(off)
	if err != nil {
		return 0, err
	}
	var v uint32
	switch t.g.typ {
	case FAT12:
		v = uint32(binary.LittleEndian.Uint16(b)) >> (c & 1 * 4) & 0xfff
	case FAT16:
		v = uint32(binary.LittleEndian.Uint16(b))
	default:
		v = binary.LittleEndian.Uint32(b) & 0x0fffffff
	}
	switch {
	case v >= t.g.typ.endOfChain():
		return 0, nil
	case !t.g.holds(v):
		return 0, damage(t.g.fatOff+off, "cluster %d is followed by %#x, which is none", c, v)
	}
	return v, nil
}

const (
	// maxChains is how many files and directories of one volume can be opened:
	// the start of each is kept, 40 MB at the most.
	maxChains = 1 << 19
	setSize   = 1 << 12 // clusters in a part of the set
)

// claims keeps who owns which cluster, so that a loop or a cluster of two
// files is found, and no image makes a reader work more than once through
// each of its clusters.
type claims struct {
	owners map[uint32]owner                 // by first cluster
	used   map[uint32]*[setSize / 64]uint64 // set of clusters in parts
}

// owner is the entry at a byte of the volume whose chain was followed, with
// what came out.
type owner struct {
	at  int64
	err error
}

// add puts c into the set and reports whether it was new.
func (s *claims) add(c uint32) bool {
	part := s.used[c/setSize]
	if part == nil {
		part = new([setSize / 64]uint64)
		s.used[c/setSize] = part
	}
	word, bit := &part[c%setSize/64], uint64(1)<<(c%64)
	old := *word
	*word |= bit
	return old&bit == 0
}

// claim follows the chain of e's clusters the first time that e is opened; n
// is how many must be there.
func (v *FS) claim(e *entry, n int64) error {
	if o, ok := v.claims.owners[e.first]; ok && o.at == e.at {
		return o.err
	}
	if len(v.claims.owners) >= maxChains {
		return damage(e.at, "more than %d files opened in one volume", maxChains)
	}
	if !v.g.holds(e.first) {
		return damage(e.at+26, "%s starts at cluster %d, which is none", e.name, e.first)
	}
	if o, ok := v.claims.owners[e.first]; ok {
		return damage(e.at+26, "%s starts at cluster %d, as does the entry at byte %d", e.name, e.first, o.at)
	}
	err := v.follow(e, n)
	v.claims.owners[e.first] = owner{at: e.at, err: err}
	return err
}

func (v *FS) follow(e *entry, n int64) error {
	c, field := e.first, e.at+26
	for i := int64(0); ; i++ {
		if !v.claims.add(c) {
			return damage(field, "%s: cluster %d is reached twice: a loop, or a cluster of two files", e.name, c)
		}
		if !e.dir && i+1 == n {
			return nil
		}
		field = v.g.fatOff + int64(c)*int64(v.g.typ)/8
		next, err := v.table.next(c)
		switch {
		case err != nil:
			return err
		case next == 0 && e.dir:
			return nil
		case next == 0:
			return damage(field, "%s: the chain of clusters ends after %d of %d", e.name, i+1, n)
		case e.dir && (i+1)*v.g.cluster >= maxDirEntries*entrySize:
			return damage(field, "%s: a directory of more than %d entries", e.name, maxDirEntries)
		}
		c = next
	}
}
