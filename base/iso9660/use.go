package iso9660

import (
	"io/fs"
	"time"
)

// Flags of TF entries (RRIP 4.1.6) and of NM entries (RRIP 4.1.4).
const (
	timeCreation   = 0x01
	timeModify     = 0x02
	timeAccess     = 0x04
	timeAttributes = 0x08
	timeLong       = 0x80

	nameContinues = 0x01
)

// take adds an entry; it returns what is wrong with it. Entries that say
// nothing about what an [FS] shows are passed over.
func (u *use) take(signature string, e []byte) string {
	switch signature {
	case "ER":
		return u.takeER(e)
	case "PX":
		return u.takePX(e)
	case "NM":
		return u.takeNM(e)
	case "SL":
		return u.link.take(e)
	case "TF":
		u.takeTF(e)
	case "CL": // RRIP 4.1.5.1
		if len(e) < 12 {
			return "too short"
		}
		u.child = int64(le.Uint32(e[4:]))
	case "RE": // RRIP 4.1.5.3
		u.relocated = true
	case "SF": // RRIP 4.1.7
		u.unreadable = "sparse files are not supported"
	case "ZF": // zisofs, of Linux and mkisofs
		u.unreadable = "compressed files are not supported"
	}
	return ""
}

// takeER reads the identifier of an extension (SUSP 5.5).
func (u *use) takeER(e []byte) string {
	if len(e) < 8 || len(e) < 8+int(e[4]) {
		return "too short"
	}
	if id := string(e[8 : 8+int(e[4])]); !isRockRidge(u.extension) {
		u.extension = id
	}
	return ""
}

// takePX reads mode, links and owner (RRIP 4.1.1).
func (u *use) takePX(e []byte) string {
	if len(e) < lenPX {
		return "too short"
	}
	u.hasMode, u.mode = true, le.Uint32(e[4:])
	u.attributes.Links = le.Uint32(e[12:])
	u.attributes.UID = le.Uint32(e[20:])
	u.attributes.GID = le.Uint32(e[28:])
	return ""
}

// takeNM adds a part of the name (RRIP 4.1.4). A name that is over stays.
func (u *use) takeNM(e []byte) string {
	switch {
	case len(e) < lenNM:
		return "too short"
	case u.name != "" && !u.nameOpen:
		return ""
	case len(u.name)+len(e)-lenNM > maxName:
		return "name is too long"
	}
	u.name += string(e[lenNM:])
	u.nameOpen = e[4]&nameContinues != 0
	return ""
}

// takeTF reads the time of modification (RRIP 4.1.6). Times stand in the order
// of their flags.
func (u *use) takeTF(e []byte) {
	if len(e) < 5 || e[4]&timeModify == 0 {
		return
	}
	size, parse := 7, parseDate
	if e[4]&timeLong != 0 {
		size, parse = 17, parseLongDate
	}
	at := 5
	if e[4]&timeCreation != 0 {
		at += size
	}
	if at+size <= len(e) {
		u.modTime = parse(e[at:])
	}
}

// describe gives an entry what was taken. That it is a directory, or none, is
// for its record to say.
func (u *use) describe(e *entry) {
	if u.hasMode {
		kind := e.mode & fs.ModeDir
		if kind == 0 {
			kind = fileMode(u.mode).Type() &^ fs.ModeDir
		}
		e.mode = kind | fileMode(u.mode)&^fs.ModeType
		offset := e.attributes.Offset
		e.attributes = u.attributes
		e.attributes.Offset = offset
	}
	if u.modTime != (time.Time{}) {
		e.modTime = u.modTime
	}
	e.unreadable = u.unreadable
	if e.mode.Type() == fs.ModeSymlink {
		e.target = u.link.target
		e.size = int64(len(e.target))
	}
}
