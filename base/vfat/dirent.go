package vfat

import (
	"encoding/binary"
	"time"
)

// stamp is a time as a directory entry has it, FAT 1.03 "Date and Time
// Formats".
type stamp struct {
	date, clock uint16
	tenth       byte // hundredths of a second from 0 to 199, for a creation
}

// makeStamp rounds t down to two seconds of UTC, and into the years 1980 to
// 2107.
func makeStamp(t time.Time) stamp {
	t = t.UTC()
	switch {
	case t.Year() < 1980:
		t = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	case t.Year() > 2107:
		t = time.Date(2107, 12, 31, 23, 59, 58, 0, time.UTC)
	}
	return stamp{
		date:  uint16((t.Year()-1980)<<9 | int(t.Month())<<5 | t.Day()),
		clock: uint16(t.Hour()<<11 | t.Minute()<<5 | t.Second()/2),
		tenth: byte(t.Second()%2*100 + t.Nanosecond()/1e7),
	}
}

// time is the other way; a date that does not exist is the zero time.
func (s stamp) time() time.Time {
	year, month, day := int(s.date>>9)+1980, time.Month(s.date>>5&15), int(s.date&31)
	t := time.Date(year, month, day, int(s.clock>>11), int(s.clock>>5&63), int(s.clock&31)*2, 0, time.UTC)
	if t.Month() != month || t.Day() != day {
		return time.Time{}
	}
	return t
}

// appendShort appends a short entry, FAT 1.03 "FAT Directory Structure".
func appendShort(b []byte, name shortName, attr byte, t time.Time, first, size uint32) []byte {
	var e [entrySize]byte
	le, s := binary.LittleEndian, makeStamp(t)
	copy(e[:], name[:])
	e[11] = attr
	e[13] = s.tenth
	le.PutUint16(e[14:], s.clock)
	le.PutUint16(e[16:], s.date)
	le.PutUint16(e[18:], s.date)
	le.PutUint16(e[20:], uint16(first>>16))
	le.PutUint16(e[22:], s.clock)
	le.PutUint16(e[24:], s.date)
	le.PutUint16(e[26:], uint16(first))
	le.PutUint32(e[28:], size)
	return append(b, e[:]...)
}

// lastLong marks the first of a name's long entries, which has its end.
const lastLong = 0x40

// unitOff is where the i-th UTF-16 unit stands in a long entry, FAT 1.03 "FAT
// Long Directory Entries".
func unitOff(i int) int {
	switch {
	case i < 5:
		return 1 + 2*i
	case i < 11:
		return 14 + 2*(i-5)
	}
	return 28 + 2*(i-11)
}

// appendLong appends the long entries of n, the name's end first; FAT 1.03
// "Storage of a Long-Name Within Long Directory Entries".
func (n *node) appendLong(b []byte) []byte {
	count := n.longEntries()
	sum := n.short.checksum()
	for ord := count; ord >= 1; ord-- {
		var e [entrySize]byte
		e[0] = byte(ord)
		if ord == count {
			e[0] |= lastLong
		}
		e[11] = attrLongName
		e[13] = sum
		part := n.long[(ord-1)*unitsPerEntry:]
		for i := range unitsPerEntry {
			unit := uint16(0xffff)
			switch {
			case i < len(part):
				unit = part[i]
			case i == len(part):
				unit = 0
			}
			binary.LittleEndian.PutUint16(e[unitOff(i):], unit)
		}
		b = append(b, e[:]...)
	}
	return b
}

// appendHead appends the entries that a directory starts with: the label in
// the root, "." and ".." elsewhere. ".." has cluster 0 for the root, also
// where that has a cluster (FAT 1.03 "FAT Directory Structure").
func (p *Plan) appendHead(b []byte, d *node) []byte {
	if d.parent != nil {
		up := d.parent.first
		if d.parent.parent == nil {
			up = 0
		}
		b = appendShort(b, makeShort(".", ""), attrDirectory, d.modTime, d.first, 0)
		return appendShort(b, makeShort("..", ""), attrDirectory, d.modTime, up, 0)
	}
	if p.image.Label == "" {
		return b
	}
	return appendShort(b, p.image.paddedLabel(), attrVolumeID, p.image.Time, 0, 0)
}

// appendNode appends the entries of n in its directory.
func (n *node) appendNode(b []byte) []byte {
	b = n.appendLong(b)
	if n.isDir() {
		return appendShort(b, n.short, attrDirectory, n.modTime, n.first, 0)
	}
	return appendShort(b, n.short, attrArchive, n.modTime, n.first, uint32(n.file.Size))
}
