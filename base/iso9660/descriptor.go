package iso9660

import (
	"errors"
	"fmt"
	"strings"
)

// standardID is what every volume descriptor has after its kind (8.1.2).
const standardID = "CD001"

// check says which text or date the descriptors cannot carry.
func (v Volume) check() error {
	texts := []struct {
		name, text string
		room       int
	}{
		{"label", v.Label, 32},
		{"system", v.System, 32},
		{"publisher", v.Publisher, 128},
		{"preparer", v.Preparer, 128},
		{"application", v.Application, 128},
	}
	if v.Label == "" {
		return errors.New("no label")
	}
	for _, t := range texts {
		switch {
		case len(t.text) > t.room:
			return fmt.Errorf("%s %q is longer than %d bytes", t.name, t.text, t.room)
		case strings.TrimSpace(t.text) != t.text:
			return fmt.Errorf("%s %q begins or ends with a space", t.name, t.text)
		case strings.ContainsFunc(t.text, func(r rune) bool { return r < ' ' || r > '~' }):
			return fmt.Errorf("%s %q is not printable ASCII", t.name, t.text)
		}
	}
	if err := checkDate(v.Created); err != nil {
		return fmt.Errorf("date of the volume: %w", err)
	}
	return nil
}

// writeDescriptors writes the volume descriptors (8).
func (l *layout) writeDescriptors(s *stream) {
	for kind := range l.trees {
		s.put(l.descriptor(kind))
	}
	last := make([]byte, sector)
	last[0], last[6] = lastDescriptor, 1
	copy(last[1:], standardID)
	s.put(last)
}

// descriptor is the primary (8.4) or the Joliet (8.5) volume descriptor.
func (l *layout) descriptor(kind int) []byte {
	h, v := l.trees[kind], l.image.Volume
	b := make([]byte, sector)
	b[0], b[6], b[881] = primaryDescriptor, 1, 1
	text := putASCII
	if kind == joliet {
		b[0], text = supplementaryDescriptor, putUCS2
		copy(b[88:], "%/E") // UCS-2 level 3
	}
	copy(b[1:], standardID)
	text(b[8:40], v.System)
	text(b[40:72], v.Label)
	put32(b[80:], uint32(l.end))
	put16(b[120:], 1) // volumes of the set
	put16(b[124:], 1) // number of this one
	put16(b[128:], sector)
	put32(b[132:], uint32(h.tableSize()))
	le.PutUint32(b[140:], uint32(h.tables[0]))
	be.PutUint32(b[148:], uint32(h.tables[1]))
	root := h.dirs[0]
	record{block: root.block, size: uint32(root.size), date: root.ModTime, flags: flagDirectory, id: rootID}.append(b[:156])
	text(b[190:318], "") // volume set
	text(b[318:446], v.Publisher)
	text(b[446:574], v.Preparer)
	text(b[574:702], v.Application)
	for at := 702; at < 813; at += 37 { // files with copyright, abstract, bibliography: none
		text(b[at:at+37], "")
	}
	for at := 813; at < 881; at += 17 {
		putLongDate(b[at:], v.Created) // creation, modification, expiration, effect
	}
	copy(b[847:864], "0000000000000000\x00") // does not expire
	return b
}

// putASCII fills b with a text and spaces (7.4.3.2).
func putASCII(b []byte, text string) {
	for i := copy(b, text); i < len(b); i++ {
		b[i] = ' '
	}
}

// putUCS2 is putASCII in UCS-2; what has no room is cut off.
func putUCS2(b []byte, text string) {
	n := copy(b[:len(b)&^1], ucs2(text))
	for ; n+1 < len(b); n += 2 {
		b[n+1] = ' '
	}
}
