package iso9660

import "io/fs"

// POSIX file types and bits, which PX entries carry (RRIP 4.1.1).
const (
	posixType    = 0o170000
	posixRegular = 0o100000
	posixDir     = 0o040000
)

// posixBits are the bits beside type and permissions.
var posixBits = [...]struct {
	bit  uint32
	flag fs.FileMode
}{{0o4000, fs.ModeSetuid}, {0o2000, fs.ModeSetgid}, {0o1000, fs.ModeSticky}}

// posixMode is the mode of a file or directory in POSIX's bits.
func posixMode(m fs.FileMode) uint32 {
	bits := uint32(m.Perm()) | posixRegular
	if m.IsDir() {
		bits = uint32(m.Perm()) | posixDir
	}
	for _, b := range posixBits {
		if m&b.flag != 0 {
			bits |= b.bit
		}
	}
	return bits
}

// fileMode reads POSIX's bits. A type that is none is a regular file's.
func fileMode(bits uint32) fs.FileMode {
	m := fs.FileMode(bits)&fs.ModePerm | fileType(bits)
	for _, b := range posixBits {
		if bits&b.bit != 0 {
			m |= b.flag
		}
	}
	return m
}

func fileType(bits uint32) fs.FileMode {
	switch bits & posixType {
	case 0o140000:
		return fs.ModeSocket
	case 0o120000:
		return fs.ModeSymlink
	case 0o060000:
		return fs.ModeDevice
	case posixDir:
		return fs.ModeDir
	case 0o020000:
		return fs.ModeDevice | fs.ModeCharDevice
	case 0o010000:
		return fs.ModeNamedPipe
	}
	return 0
}
