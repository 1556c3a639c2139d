package iso9660

import "path"

// Lengths of the fixed parts of a record's system use.
const (
	lenPX = 36
	lenTF = 26
	lenCE = 28
	lenNM = 5 // without the name
)

// extensionReference is the ER entry that announces Rock Ridge (SUSP 5.5),
// with the texts of RRIP 4.3 in the form that mkisofs writes and every reader
// knows.
const extensionReference = "ER\xed\x01\x0a\x54\x87\x01RRIP_1991A" +
	"THE ROCK RIDGE INTERCHANGE PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS" +
	"PLEASE CONTACT DISC PUBLISHER FOR SPECIFICATION SOURCE.  SEE PUBLISHER IDENTIFIER IN " +
	"PRIMARY VOLUME DESCRIPTOR FOR CONTACT INFORMATION."

// appendUse adds the system use of n in the record of that identifier.
func (l *layout) appendUse(b []byte, n *node, id string) []byte {
	isRoot := n.parent == n
	if isRoot && id == rootID {
		b = append(b, "SP\x07\x01\xbe\xef\x00"...) // SUSP 5.3
	}
	b = appendPX(b, n)
	b = appendTF(b, n)
	switch {
	case id == parentID:
	case id != rootID:
		name := n.name()
		room := nameRoom(n)
		b = appendNM(b, name[:room], room < len(name))
		if room < len(name) {
			b = l.appendCE(b, n.rest)
		}
	case isRoot:
		b = l.appendCE(b, n.rest)
	}
	return b
}

func (n *node) name() string { return path.Base(n.Path) }

// nameRoom is how much of the name fits into the record; what is left needs a
// continuation, and the record room for saying where.
func nameRoom(n *node) int {
	room := maxRecord - (recordHead+len(n.ids[primary])+1)&^1 - lenPX - lenTF - lenNM
	if size := len(n.name()); size <= room {
		return size
	}
	return room - lenCE
}

// appendPX adds mode, links and owner (RRIP 4.1.1, in the form of version
// 1.09 without a serial number, which all readers take).
func appendPX(b []byte, n *node) []byte {
	links := uint32(1)
	if n.isDir() {
		links = 2 + n.subdirs
	}
	b = append(b, 'P', 'X', lenPX, 1)
	b = append32(b, posixMode(n.Mode))
	b = append32(b, links)
	b = append32(b, n.UID)
	return append32(b, n.GID)
}

// appendTF adds the times of modification, access and attribute change, the
// three that mkisofs writes (RRIP 4.1.6).
func appendTF(b []byte, n *node) []byte {
	b = append(b, 'T', 'F', lenTF, 1, timeModify|timeAccess|timeAttributes)
	for range 3 {
		b = appendDate(b, n.ModTime)
	}
	return b
}

// appendNM adds a name, or a part of it (RRIP 4.1.4).
func appendNM(b []byte, name string, more bool) []byte {
	var flags byte
	if more {
		flags = nameContinues
	}
	b = append(b, 'N', 'M', byte(lenNM+len(name)), 1, flags)
	return append(b, name...)
}

// appendCE says where the rest of a system use is (SUSP 5.1).
func (l *layout) appendCE(b []byte, c continuation) []byte {
	b = append(b, 'C', 'E', lenCE, 1)
	b = append32(b, uint32(l.rest.block+c.at/sector))
	b = append32(b, uint32(c.at%sector))
	return append32(b, uint32(c.size))
}
