package iso9660

import "time"

// recordHead is the length of a directory record up to its identifier (9.1).
const recordHead = 33

// record is a directory record without its system use.
type record struct {
	block int64
	size  uint32
	date  time.Time
	flags byte
	id    string
}

func (r record) append(b []byte) []byte {
	at := len(b)
	b = append(b, 0, 0)
	b = append32(b, uint32(r.block))
	b = append32(b, r.size)
	b = appendDate(b, r.date)
	b = append(b, r.flags, 0, 0, 1, 0, 0, 1, byte(len(r.id))) // not interleaved, volume 1
	b = append(b, r.id...)
	return closeRecord(b, at)
}

// closeRecord makes the record that begins at an even length and tells it.
func closeRecord(b []byte, at int) []byte {
	if (len(b)-at)%2 == 1 {
		b = append(b, 0)
	}
	b[at] = byte(len(b) - at)
	return b
}

// eachRecord gives emit the records of a directory, one after the other, in
// one buffer (6.8.2.2: itself, its parent, its entries).
func (l *layout) eachRecord(kind int, d *directory, emit func([]byte)) {
	l.emitDirectory(kind, d, rootID, emit)
	l.emitDirectory(kind, d.parent.dirs[kind], parentID, emit)
	for _, n := range d.kids {
		if n.isDir() {
			l.emitDirectory(kind, n.dirs[kind], n.ids[kind], emit)
		} else {
			l.emitFile(kind, n, emit)
		}
	}
}

func (l *layout) emitDirectory(kind int, d *directory, id string, emit func([]byte)) {
	r := record{block: d.block, size: uint32(d.size), date: d.ModTime, flags: flagDirectory, id: id}
	l.emit(kind, d.node, r, emit)
}

// emitFile emits a record per section.
func (l *layout) emitFile(kind int, n *node, emit func([]byte)) {
	r := record{block: int64(n.block), date: n.ModTime, id: n.ids[kind]}
	left := n.Size
	for ; left > maxSection; left -= maxSection {
		r.size, r.flags = maxSection, flagMultiExtent
		l.emit(kind, n, r, emit)
		r.block += maxSection / sector
	}
	r.size, r.flags = uint32(left), 0
	l.emit(kind, n, r, emit)
}

func (l *layout) emit(kind int, n *node, r record, emit func([]byte)) {
	b := r.append(l.buffer[:0])
	if kind == primary {
		b = closeRecord(l.appendUse(b, n, r.id), 0)
	}
	emit(b)
}

// measure finds the size of a directory: whole sectors, and no record crosses
// from one to the next (6.8.1.1).
func (l *layout) measure(kind int, d *directory) {
	l.eachRecord(kind, d, func(b []byte) {
		if d.size%sector+int64(len(b)) > sector {
			d.size = blocks(d.size) * sector
		}
		d.size += int64(len(b))
	})
	d.size = blocks(d.size) * sector
}

func (l *layout) writeDirectories(s *stream, kind int) {
	for _, d := range l.trees[kind].dirs {
		l.eachRecord(kind, d, s.putRecord)
		s.pad()
	}
}
