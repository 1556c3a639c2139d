// Package iso9660 writes and reads ISO 9660 volumes with Rock Ridge and Joliet.
//
// [Image.WriteTo] writes a volume to a stream: contents are copied from their
// openers as they come, only names and attributes are held. The same Image
// gives the same bytes, in whatever order its files are listed. [Open] reads a
// volume back as an [fs.FS], whoever wrote it, and takes it for hostile: all
// it allocates and all the time it spends is bounded by the volume's size, by
// 262144 entries, paths of 4096 bytes and 64 MiB of directories.
//
// The clauses cited beside the code are those of ECMA-119 (2nd edition, the
// free text of ISO 9660), of the System Use Sharing Protocol 1.12 (SUSP), of
// the Rock Ridge Interchange Protocol 1.12 (RRIP) and of Microsoft's Joliet
// Specification (1995).
package iso9660

import "time"

const (
	sector      = 2048     // logical sector (6.1.2), and the logical block that is written
	systemArea  = 16       // sectors before the first volume descriptor (6.2.1)
	maxRecord   = 254      // the largest even length that fits a record's length byte (9.1.1)
	maxName     = 255      // bytes of a name: NAME_MAX of the kernels that mount it
	maxPath     = 4096     // bytes of a path in a volume: PATH_MAX
	maxEntries  = 1 << 18  // files and directories of a volume
	maxMetadata = 64 << 20 // bytes of directories and continuation areas that are read
)

// Kinds of volume descriptors (8.1.1).
const (
	bootDescriptor          = 0
	primaryDescriptor       = 1
	supplementaryDescriptor = 2
	lastDescriptor          = 255
)

// File flags of a directory record (9.1.6).
const (
	flagDirectory   = 0x02
	flagAssociated  = 0x04
	flagMultiExtent = 0x80
)

// Volume is what a volume says of itself. The texts are printable ASCII; they
// carry the case they are given, as Nova's and cloud-init's labels need, which
// is more than the d-characters of the standard.
type Volume struct {
	Label       string    // at most 32 bytes, needed when writing; Joliet carries the first 16
	System      string    // at most 32 bytes: the system that may use the first 16 sectors
	Publisher   string    // at most 128 bytes, as the next two; Joliet carries the first 64
	Preparer    string    // who prepared the data
	Application string    // what wrote the volume
	Created     time.Time // to 1/100 s, years 1900 to 2155; zero: not said
}
