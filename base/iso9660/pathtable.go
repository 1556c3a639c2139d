package iso9660

import "encoding/binary"

// rootID is the identifier of the root in path tables, and of a directory in
// itself (6.8.2.2); parentID that of its parent.
const (
	rootID   = "\x00"
	parentID = "\x01"
)

// tableSize is the size of one path table in bytes (9.4).
func (h *hierarchy) tableSize() int64 {
	var size int64
	for _, d := range h.dirs {
		size += int64(8+len(h.tableID(d))+1) &^ 1
	}
	return size
}

// writeTables writes the path table in both byte orders (8.4.14, 8.4.16).
func (h *hierarchy) writeTables(s *stream) {
	for _, order := range []binary.AppendByteOrder{le, be} {
		for _, d := range h.dirs {
			id := h.tableID(d)
			b := append(s.scratch[:0], byte(len(id)), 0)
			b = order.AppendUint32(b, uint32(d.block))
			b = order.AppendUint16(b, uint16(d.parent.dirs[h.kind].number))
			b = append(b, id...)
			if len(id)%2 == 1 {
				b = append(b, 0)
			}
			s.put(b)
		}
		s.pad()
	}
}

func (h *hierarchy) tableID(d *directory) string {
	if d.parent == d.node {
		return rootID
	}
	return d.ids[h.kind]
}
