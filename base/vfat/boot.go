package vfat

import (
	"encoding/binary"
	"math"
)

// sectorsPerTrack is of no meaning on a disk without tracks.
const sectorsPerTrack = 32

// heads makes up a number of heads, as mkfs.fat does for Nova's size.
func heads(sectors int64) uint16 {
	h := int64(2)
	for h < 128 && h*sectorsPerTrack*512 < sectors {
		h *= 2
	}
	return uint16(h)
}

// bootCode lets a BIOS go on with the next disk: int 18h, then hlt for ever.
const bootCode = "\xcd\x18\xf4\xeb\xfd"

// noLabel stands in the boot sector of a volume without a label.
const noLabel = "NO NAME"

// paddedLabel is the label as it is stored.
func (im *Image) paddedLabel() shortName {
	return makeShort(im.Label[:min(8, len(im.Label))], im.Label[min(8, len(im.Label)):])
}

// boot is the boot sector, FAT 1.03 "Boot Sector and BPB". The OEM name is
// that of Nova's drives, which mkfs.fat makes; nothing depends on it.
func (p *Plan) boot() []byte {
	b := make([]byte, sectorSize)
	le, sectors := binary.LittleEndian, p.g.end/sectorSize
	copy(b[3:], "mkfs.fat")
	le.PutUint16(b[11:], sectorSize)
	b[13] = byte(p.g.cluster / sectorSize)
	le.PutUint16(b[14:], uint16(p.g.fatOff/sectorSize))
	b[16] = byte(p.g.fats)
	le.PutUint16(b[17:], uint16(p.g.rootLen/entrySize))
	b[21] = 0xf8 // a fixed disk
	le.PutUint16(b[24:], sectorsPerTrack)
	le.PutUint16(b[26:], heads(sectors))
	if p.g.typ != FAT32 && sectors <= math.MaxUint16 {
		le.PutUint16(b[19:], uint16(sectors))
	} else {
		le.PutUint32(b[32:], uint32(sectors))
	}
	ext := b[36:] // the part that depends on the type
	if p.g.typ == FAT32 {
		le.PutUint32(b[36:], uint32(p.g.fatLen/sectorSize))
		le.PutUint32(b[44:], p.g.rootCluster)
		le.PutUint16(b[48:], fsInfoSector)
		le.PutUint16(b[50:], backupSector)
		ext = b[64:]
	} else {
		le.PutUint16(b[22:], uint16(p.g.fatLen/sectorSize))
	}
	p.extended(ext)
	code := sectorSize - len(ext) + 26 // right after the fields
	copy(b, []byte{0xeb, byte(code - 2), 0x90})
	copy(b[code:], bootCode)
	copy(b[510:], "\x55\xaa")
	return b
}

// extended fills the fields from BS_DrvNum on.
func (p *Plan) extended(ext []byte) {
	ext[0] = 0x80 // the first fixed disk
	ext[2] = 0x29 // the next three fields are there
	binary.LittleEndian.PutUint32(ext[3:], p.image.VolumeID)
	label := p.image.paddedLabel()
	if p.image.Label == "" {
		label = makeShort(noLabel, "")
	}
	copy(ext[7:], label[:])
	copy(ext[18:], p.g.typ.String()+"   ")
}

const (
	fsInfoSector = 1
	backupSector = 6
)

// fsInfo is the hint about free clusters, FAT 1.03 "FAT32 FSInfo Sector
// Structure and Backup Boot Sector".
func (p *Plan) fsInfo() []byte {
	b := make([]byte, sectorSize)
	le := binary.LittleEndian
	copy(b, "RRaA")
	copy(b[484:], "rrAa")
	le.PutUint32(b[488:], p.g.clusters-(p.next-2))
	le.PutUint32(b[492:], p.next)
	copy(b[510:], "\x55\xaa")
	return b
}
