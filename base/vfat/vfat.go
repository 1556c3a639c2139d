// Package vfat writes FAT volumes with long names to a stream, and reads them
// as an [io/fs.FS].
//
// An [Image] becomes a [Plan], the layout with every cluster assigned, before
// the first byte is written; the plan then goes to an [io.Writer] in one pass
// or, with holes for what is unused, to a [SparseFile]. Contents are streamed,
// so memory depends on the number of files only, and the same image always
// gives the same bytes. No mount, no privilege, no external program.
//
// [Open] takes a volume of any origin, hostile ones included: time and memory
// are bounded and damage is reported with its byte offset ([FormatError]).
//
// The headings cited are those of "Microsoft Extensible Firmware Initiative
// FAT32 File System Specification, FAT: General Overview of On-Disk Format",
// version 1.03, called FAT 1.03 here.
package vfat

import (
	"errors"
	"fmt"
)

// Type is the width of the entries in the file allocation table.
type Type int

const (
	// Auto lets [Image.Plan] choose: FAT16 where it fits, else FAT32, and
	// FAT12 only where the size allows no other.
	Auto  Type = 0
	FAT12 Type = 12
	FAT16 Type = 16
	FAT32 Type = 32
)

// String gives the name as it stands in the boot sector, such as "FAT16".
func (t Type) String() string {
	if t == Auto {
		return "FAT"
	}
	return fmt.Sprintf("FAT%d", int(t))
}

// NovaSize is the size in bytes of a VFAT config drive of Nova
// (nova: virt/configdrive.py, CONFIGDRIVESIZE_BYTES).
const NovaSize = 64 << 20

// ErrTooBig means that the files do not fit the volume, or a file or a
// directory not the format. Nothing has been written.
var ErrTooBig = errors.New("too big")

// FormatError is damage in a volume that is read.
type FormatError struct {
	Offset  int64  // of the damaged field, in bytes from the volume's start
	Problem string // in plain words, without the offset
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("vfat: byte %d: %s", e.Offset, e.Problem)
}

// damage makes a FormatError.
func damage(offset int64, format string, args ...any) error {
	return &FormatError{Offset: offset, Problem: fmt.Sprintf(format, args...)}
}

const (
	sectorSize = 512 // what we write
	entrySize  = 32  // a directory entry, FAT 1.03 "FAT Directory Structure"

	maxFileSize   = 1<<32 - 1
	maxDirEntries = 1 << 16 // a directory has at most 2 MiB, as in Linux and Windows
	maxDepth      = 128     // names in a path: 260 characters hold no more
	maxUnits      = 255     // UTF-16 units in a long name, FAT 1.03 "Name Limits and Character Sets"
	unitsPerEntry = 13      // of them in one directory entry, FAT 1.03 "FAT Long Directory Entries"
)

// Attributes of a directory entry, FAT 1.03 "FAT Directory Structure".
const (
	attrVolumeID  = 0x08
	attrDirectory = 0x10
	attrArchive   = 0x20
	attrLongName  = 0x0f
	attrLongMask  = 0x3f
)
