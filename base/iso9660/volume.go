package iso9660

import (
	"bytes"
	"strings"
)

// maxDescriptors is how many volume descriptors are looked at.
const maxDescriptors = 64

// descriptors are the volume descriptors that describe the files.
type descriptors struct {
	primary, joliet *descriptor
}

// descriptor is one of them: its sector, and where it stands.
type descriptor struct {
	offset int64
	b      []byte
}

// descriptors finds the volume descriptors (8). Boot records (El Torito) and
// all others are passed over.
func (s source) descriptors() (descriptors, error) {
	var found descriptors
	for i := range int64(maxDescriptors) {
		d := &descriptor{offset: (systemArea + i) * sector, b: make([]byte, sector)}
		if i == 0 && !s.holds(d.offset, sector) {
			return found, ErrNoVolume
		}
		if err := s.read(d.b, d.offset); err != nil {
			return found, err
		}
		switch {
		case string(d.b[1:6]) != standardID && i == 0:
			return found, ErrNoVolume
		case string(d.b[1:6]) != standardID || d.b[0] == lastDescriptor:
			if found.primary == nil {
				return found, damaged(d.offset, "no primary volume descriptor before this")
			}
			return found, nil
		case d.b[0] == primaryDescriptor && found.primary == nil:
			found.primary = d
		case d.b[0] == supplementaryDescriptor && found.joliet == nil && d.isJoliet():
			found.joliet = d
		}
	}
	return found, damaged((systemArea+maxDescriptors)*sector, "more than %d volume descriptors", maxDescriptors)
}

// isJoliet looks for the escape sequences of UCS-2 levels 1 to 3 (Joliet
// Specification, "Escape Sequences"). The enhanced descriptor of ISO 9660:1999
// has the same kind and none.
func (d *descriptor) isJoliet() bool {
	for _, escape := range []string{"%/@", "%/C", "%/E"} {
		if bytes.HasPrefix(d.b[88:120], []byte(escape)) {
			return true
		}
	}
	return false
}

// volume is what the primary descriptor says, with the Joliet one's label.
func (d descriptors) volume() Volume {
	b := d.primary.b
	v := Volume{
		Label:       ascii(b[40:72]),
		System:      ascii(b[8:40]),
		Publisher:   ascii(b[318:446]),
		Preparer:    ascii(b[446:574]),
		Application: ascii(b[574:702]),
		Created:     parseLongDate(b[813:830]),
	}
	if d.joliet != nil {
		v.Label = mergeLabels(v.Label, fromUCS2(d.joliet.b[40:72]))
	}
	return v
}

// mergeLabels is the label that blkid reports, and so udev's name of the
// drive: the Joliet one, and where that had to be cut to 16 characters the
// rest from the primary one (util-linux: libblkid/src/superblocks/iso9660.c).
func mergeLabels(primary, joliet string) string {
	const room = 16
	switch {
	case trim(joliet) == "":
		return primary
	case len(primary) > room && strings.EqualFold(primary[:room], joliet):
		return joliet + primary[room:]
	}
	return trim(joliet)
}

func ascii(b []byte) string { return trim(strings.ToValidUTF8(string(b), "\uFFFD")) }

func trim(s string) string { return strings.TrimRight(s, " \x00") }

// blockSize is the size of a logical block (8.4.12, 6.2.2).
func (d *descriptor) blockSize() (int64, error) {
	switch n := int64(le.Uint16(d.b[128:])); n {
	case 512, 1024, 2048:
		return n, nil
	default:
		return 0, damaged(d.offset+128, "logical blocks of %d bytes", n)
	}
}

// root is the directory record of the root (8.4.18).
func (d *descriptor) root() rawRecord {
	return rawRecord{offset: d.offset + 156, b: d.b[156:190]}
}
