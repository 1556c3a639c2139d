package vfat

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// bootFields is what a boot sector says, before it is believed. FAT 1.03 "Boot
// Sector and BPB".
type bootFields struct {
	sector, cluster  int64 // BPB_BytsPerSec, BPB_SecPerClus
	reserved, fats   int64
	rootEntries      int64
	sectors, fatLen  int64 // whichever of the two fields is used
	sectorsAt, fatAt int64 // and its offset
	rootCluster      uint32
	mirror           uint16 // BPB_ExtFlags
	version          uint16
	fat32, hasVolume bool // BPB_FATSz16 is 0; BS_VolID and BS_VolLab are there
	volumeID         uint32
	label            shortName
	signature        bool
}

func readBootFields(b []byte) bootFields {
	le := binary.LittleEndian
	f := bootFields{
		sector:      int64(le.Uint16(b[11:])),
		cluster:     int64(b[13]),
		reserved:    int64(le.Uint16(b[14:])),
		fats:        int64(b[16]),
		rootEntries: int64(le.Uint16(b[17:])),
		sectors:     int64(le.Uint16(b[19:])), sectorsAt: 19,
		fatLen: int64(le.Uint16(b[22:])), fatAt: 22,
		signature: bytes.Equal(b[510:], []byte{0x55, 0xaa}),
	}
	if f.sectors == 0 {
		f.sectors, f.sectorsAt = int64(le.Uint32(b[32:])), 32
	}
	ext := b[36:]
	// A volume made as FAT32 may have fewer clusters than the type asks
	// (mkfs.fat -F 32); Linux and Windows go by this field.
	if f.fatLen == 0 {
		f.fat32 = true
		f.fatLen, f.fatAt = int64(le.Uint32(b[36:])), 36
		f.mirror = le.Uint16(b[40:])
		f.version = le.Uint16(b[42:])
		f.rootCluster = le.Uint32(b[44:])
		ext = b[64:]
	}
	f.hasVolume = ext[2] == 0x29
	f.volumeID = le.Uint32(ext[3:])
	copy(f.label[:], ext[7:])
	return f
}

// check refuses what no FAT volume says.
func (f *bootFields) check() error {
	switch {
	case !f.signature:
		return damage(510, "no FAT volume: the boot sector has no signature")
	case f.sector < 512 || f.sector > 4096 || bits.OnesCount64(uint64(f.sector)) != 1:
		return damage(11, "no FAT volume: sectors of %d bytes", f.sector)
	case bits.OnesCount64(uint64(f.cluster)) != 1:
		return damage(13, "no FAT volume: clusters of %d sectors", f.cluster)
	case f.reserved == 0:
		return damage(14, "no FAT volume: no reserved sectors")
	case f.fats == 0:
		return damage(16, "no FAT volume: no allocation table")
	case f.fatLen == 0:
		return damage(f.fatAt, "no FAT volume: an allocation table without sectors")
	case f.fat32 && f.version != 0:
		return damage(42, "FAT32 of the unknown version %#04x", f.version)
	case f.fat32 != (f.rootEntries == 0):
		return damage(17, "no FAT volume: %d entries in the root directory", f.rootEntries)
	}
	return nil
}

// geometry lays the fields out in a volume of size bytes.
func (f *bootFields) geometry(size int64) (geometry, error) {
	if err := f.check(); err != nil {
		return geometry{}, err
	}
	g := geometry{sector: f.sector, cluster: f.sector * f.cluster, fats: f.fats, rootCluster: f.rootCluster}
	g.fatOff = f.reserved * f.sector
	g.fatLen = f.fatLen * f.sector
	g.rootOff = g.fatOff + g.fats*g.fatLen
	g.rootLen = f.rootEntries * entrySize
	g.dataOff = g.rootOff + ceil(g.rootLen, f.sector)
	g.end = f.sectors * f.sector
	if g.end > size {
		return geometry{}, damage(f.sectorsAt, "a volume of %d bytes, of which there are %d", g.end, size)
	}
	if g.dataOff+g.cluster > g.end {
		return geometry{}, damage(f.fatAt, "the tables leave no room for data: it starts at byte %d of %d", g.dataOff, g.end)
	}
	return g, f.countClusters(&g)
}

// countClusters sets the number of clusters and the type that follows from it,
// FAT 1.03 "FAT Type Determination".
func (f *bootFields) countClusters(g *geometry) error {
	n := (g.end - g.dataOff) / g.cluster
	switch {
	case f.fat32:
		g.typ = FAT32
	case n < 4085:
		g.typ = FAT12
	case n < 65525:
		g.typ = FAT16
	default:
		return damage(f.fatAt, "%d clusters with a table of 16 bits", n)
	}
	if f.fat32 && f.mirror&0x80 != 0 {
		active := int64(f.mirror & 0xf)
		if active >= g.fats {
			return damage(40, "allocation table %d of %d", active, g.fats)
		}
		g.fatOff += active * g.fatLen
	}
	// The table has two entries more than there are clusters; what a table is
	// too short for cannot be used, as in Linux.
	n = min(n, g.fatLen*8/int64(g.typ)-2, 0x0ffffff7-2)
	if n < 1 {
		return damage(f.fatAt, "the allocation table is too short for a cluster")
	}
	g.clusters = uint32(n)
	return nil
}
