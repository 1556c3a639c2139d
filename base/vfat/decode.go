package vfat

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
)

// entry is a file or directory of a volume that is read.
type entry struct {
	name    string
	short   shortName
	dir     bool
	modTime time.Time
	first   uint32
	size    int64
	at      int64 // of the short entry in the volume; 0 for the root
}

// parser reads the entries of one directory in their order.
type parser struct {
	root    bool
	wide    bool // clusters have 32 bits
	count   int
	long    longName
	label   shortName
	labeled bool
	entries []entry
}

// parse reads the entries in b, which starts at byte off of the volume; done
// means that the directory's end mark was met.
func (p *parser) parse(b []byte, off int64) (done bool, err error) {
	for ; len(b) >= entrySize; b, off = b[entrySize:], off+entrySize {
		e := [entrySize]byte(b)
		if e[0] == 0 {
			return true, nil
		}
		if p.count++; p.count > maxDirEntries {
			return false, damage(off, "a directory of more than %d entries", maxDirEntries)
		}
		if err := p.one(&e, off); err != nil {
			return false, err
		}
	}
	return false, nil
}

// one reads one entry. FAT 1.03 "Validating The Contents of a Directory".
func (p *parser) one(e *[entrySize]byte, off int64) error {
	switch attr := e[11]; {
	case e[0] == 0xe5:
		p.long.reset()
	case attr&attrLongMask == attrLongName:
		p.long.add(e)
	case attr&attrVolumeID != 0:
		p.long.reset()
		if p.root && !p.labeled {
			p.label, p.labeled = shortName(e[:11]), true
		}
	default:
		return p.short(e, off)
	}
	return nil
}

func (p *parser) short(b *[entrySize]byte, off int64) error {
	le := binary.LittleEndian
	e := entry{
		short:   shortName(b[:11]),
		dir:     b[11]&attrDirectory != 0,
		modTime: stamp{clock: le.Uint16(b[22:]), date: le.Uint16(b[24:])}.time(),
		first:   uint32(le.Uint16(b[26:])),
		size:    int64(le.Uint32(b[28:])),
		at:      off,
	}
	if p.wide {
		e.first |= uint32(le.Uint16(b[20:])) << 16
	}
	name, hasLong := p.long.take(e.short.checksum())
	if e.dir {
		e.size = 0
		if e.short == makeShort(".", "") || e.short == makeShort("..", "") {
			return nil
		}
	}
	if !hasLong {
		name = e.short.text(b[12])
	}
	if !usable(name) {
		return damage(off, "the name %q", name)
	}
	e.name = name
	p.entries = append(p.entries, e)
	return nil
}

// usable reports whether name can be a part of an fs.FS's path.
func usable(name string) bool {
	return name != "" && name != "." && name != ".." &&
		!strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == '/' })
}

// finish sorts the entries by name.
func (p *parser) finish() error {
	slices.SortFunc(p.entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	for i := 1; i < len(p.entries); i++ {
		if p.entries[i].name == p.entries[i-1].name {
			return damage(p.entries[i].at, "the name %q again, as at byte %d", p.entries[i].name, p.entries[i-1].at)
		}
	}
	return nil
}

// longName gathers the long entries in front of a short one. Those that are
// out of order, or whose checksum is another's, are orphans and are ignored:
// FAT 1.03 "Organization and Association of Short & Long Directory Entries".
type longName struct {
	units [20 * unitsPerEntry]uint16
	count int // entries in the name; 0 is none
	next  int // the ordinal that must follow; 0 at the end
	sum   byte
}

func (l *longName) reset() { l.count = 0 }

func (l *longName) add(e *[entrySize]byte) {
	ord := int(e[0] &^ lastLong)
	if e[0]&lastLong != 0 {
		l.count, l.next, l.sum = ord, ord, e[13]
	}
	if l.count == 0 || ord == 0 || ord != l.next || ord*unitsPerEntry > len(l.units) || e[13] != l.sum {
		l.reset()
		return
	}
	for i := range unitsPerEntry {
		l.units[(ord-1)*unitsPerEntry+i] = binary.LittleEndian.Uint16(e[unitOff(i):])
	}
	l.next--
}

// take gives the name if it is whole, belongs to the short name with that
// checksum and can be a part of a path, and forgets it.
func (l *longName) take(sum byte) (string, bool) {
	whole := l.count > 0 && l.next == 0 && l.sum == sum
	units := l.units[:l.count*unitsPerEntry]
	l.reset()
	if !whole {
		return "", false
	}
	if i := slices.Index(units, 0); i >= 0 {
		units = units[:i]
	}
	runes := utf16.Decode(units)
	if len(units) > maxUnits || !slices.Equal(utf16.Encode(runes), units) {
		return "", false // a surrogate without its other half
	}
	name := string(runes)
	return name, usable(name)
}
