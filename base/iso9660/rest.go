package iso9660

// restArea is the continuation area of the volume (SUSP 5.1): what the records
// of the primary hierarchy have no room for.
type restArea struct {
	block int64
	size  int64 // bytes
}

// continuation is one record's part of the area.
type continuation struct{ at, size int64 }

// reserve takes n bytes of the area. A part lies in one sector: Linux reads no
// other (fs/isofs/rock.c rock_continue).
func (a *restArea) reserve(n int) continuation {
	if a.size%sector+int64(n) > sector {
		a.size = blocks(a.size) * sector
	}
	c := continuation{at: a.size, size: int64(n)}
	a.size += c.size
	return c
}

// placeRest reserves what the records will need, in the order of the records.
func (l *layout) placeRest() {
	root := l.trees[primary].dirs[0]
	root.rest = l.rest.reserve(len(extensionReference))
	for _, d := range l.trees[primary].dirs {
		for _, n := range d.kids {
			if left := len(n.name()) - nameRoom(n); left > 0 {
				n.rest = l.rest.reserve(lenNM + left)
			}
		}
	}
}

// writeRest writes the area.
func (l *layout) writeRest(s *stream) {
	s.putRecord([]byte(extensionReference))
	for _, d := range l.trees[primary].dirs {
		for _, n := range d.kids {
			if n.rest.size > 0 {
				s.putRecord(appendNM(s.scratch[:0], n.name()[nameRoom(n):], false))
			}
		}
	}
	s.pad()
}
