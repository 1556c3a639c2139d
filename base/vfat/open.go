package vfat

import (
	"io"
	"sync"
)

// FS is a volume that is read. It is an [io/fs.FS] with ReadDir and Stat; its
// files are [io.ReaderAt] and [io.Seeker] too. Directories list the long names
// in their own case; opening takes a name in any case, and the short alias
// too, as the format does, but prefers the exact one. Modes are 0444 and 0555,
// for the format has none; times are taken as UTC.
//
// What is damaged gives a [*FormatError] when it is met; the rest can be read.
// Of two files that share a cluster the one opened second is the damaged one.
// No file is larger than the volume, but that may be mostly holes: who reads a
// stranger's file limits how much.
//
// FS is safe for concurrent use if its reader is.
type FS struct {
	r        io.ReaderAt
	g        geometry
	volumeID uint32
	label    string

	mu     sync.Mutex // of all below
	table  table
	claims claims
	dirs   map[int64][]entry // listings, by the entry's offset
	cached int               // entries in dirs
}

// Open reads the boot sector and the root directory of the volume in the first
// size bytes of r. It fails with a [*FormatError] if there is no FAT volume,
// one that is larger than size, or one whose root is damaged.
func Open(r io.ReaderAt, size int64) (*FS, error) {
	boot := make([]byte, sectorSize)
	if size < sectorSize {
		return nil, damage(max(0, size), "no FAT volume: the boot sector is cut off")
	}
	if err := readFull(r, boot, 0); err != nil {
		return nil, err
	}
	fields := readBootFields(boot)
	g, err := fields.geometry(size)
	if err != nil {
		return nil, err
	}
	v := &FS{r: r, g: g, dirs: map[int64][]entry{}}
	v.table = table{r: r, g: &v.g}
	v.claims = claims{owners: map[uint32]owner{}, used: map[uint32]*[setSize / 64]uint64{}}
	root, err := v.load(v.root())
	if err != nil {
		return nil, err
	}
	v.setLabel(&fields, root)
	return v, nil
}

// setLabel takes the label from the root directory, else from the boot sector.
func (v *FS) setLabel(f *bootFields, root *parser) {
	if f.hasVolume {
		v.volumeID = f.volumeID
		v.label = f.label.label()
	}
	if v.label == noLabel {
		v.label = ""
	}
	if root.labeled {
		v.label = root.label.label()
	}
}

// Label is the volume's label in its own case, "" if there is none.
func (v *FS) Label() string { return v.label }

// VolumeID is the serial number, 0 if there is none.
func (v *FS) VolumeID() uint32 { return v.volumeID }

// Type is FAT12, FAT16 or FAT32.
func (v *FS) Type() Type { return v.g.typ }

// Size is the size of the volume in bytes as the boot sector has it.
func (v *FS) Size() int64 { return v.g.end }

// root is the entry that the root directory does not have.
func (v *FS) root() *entry {
	return &entry{name: ".", dir: true, first: v.g.rootCluster}
}

// maxCached bounds the directory entries that are kept.
const maxCached = 2 * maxDirEntries

// list gives the entries of the directory e, sorted by name. The caller holds
// the lock and does not change them.
func (v *FS) list(e *entry) ([]entry, error) {
	if entries, ok := v.dirs[e.at]; ok {
		return entries, nil
	}
	p, err := v.load(e)
	if err != nil {
		return nil, err
	}
	return p.entries, nil
}

// load reads the directory e and keeps its entries.
func (v *FS) load(e *entry) (*parser, error) {
	p := &parser{root: e.at == 0, wide: v.g.typ == FAT32}
	err := v.walk(e, p)
	if err == nil {
		err = p.finish()
	}
	if err != nil {
		return nil, err
	}
	if v.cached+len(p.entries) > maxCached {
		clear(v.dirs)
		v.cached = 0
	}
	v.dirs[e.at] = p.entries
	v.cached += len(p.entries) + 1
	return p, nil
}

// walk feeds the directory's bytes to p.
func (v *FS) walk(e *entry, p *parser) error {
	if e.at == 0 && v.g.typ != FAT32 {
		b := make([]byte, v.g.rootLen)
		if err := readFull(v.r, b, v.g.rootOff); err != nil {
			return err
		}
		_, err := p.parse(b, v.g.rootOff)
		return err
	}
	if err := v.claim(e, 0); err != nil {
		return err
	}
	b := make([]byte, v.g.cluster)
	for c := e.first; c != 0; {
		off := v.g.clusterOff(c)
		if err := readFull(v.r, b, off); err != nil {
			return err
		}
		done, err := p.parse(b, off)
		if done || err != nil {
			return err
		}
		if c, err = v.table.next(c); err != nil {
			return err
		}
	}
	return nil
}
