package partition

import (
	"bytes"
	"fmt"
)

const (
	mbrSize        = 512
	typeProtective = 0xee // 5.2.3
	mbrSectors     = 1<<32 - 1
)

// mbrEntry is entry number n, 1 to 4, of an MBR. 5.2.1
func mbrEntry(mbr []byte, n int) []byte { return mbr[446+16*(n-1) : 446+16*n] }

// protective returns the number of the entry that stands for a GPT, -1 for none.
func protective(mbr []byte) int {
	for n := 1; n <= 4; n++ {
		if mbr[510] == 0x55 && mbr[511] == 0xaa && mbrEntry(mbr, n)[4] == typeProtective {
			return n
		}
	}
	return -1
}

func (t *Table) readMBR() error {
	if t.mbr[510] != 0x55 || t.mbr[511] != 0xaa {
		return ErrNoTable
	}
	for n := 1; n <= 4; n++ {
		e := mbrEntry(t.mbr, n)
		if e[4] == 0 {
			continue
		}
		p := Partition{Number: n, Start: int64(little.Uint32(e[8:])) * t.SectorSize, Size: int64(little.Uint32(e[12:])) * t.SectorSize}
		if e[0]&0x7f != 0 || p.Start == 0 || p.Size == 0 {
			return fmt.Errorf("%w: entry %d of the boot sector is none", ErrNoTable, n)
		}
		t.Partitions = append(t.Partitions, p)
	}
	return nil
}

// lastUsableMBR is the end of what an MBR can tell of.
func (t *Table) lastUsableMBR() int64 { return min(t.size/t.SectorSize, mbrSectors) * t.SectorSize }

// appendMBR returns the writes of a table that has p too.
func (t *Table) appendMBR(p Partition, n New) []write {
	mbr := bytes.Clone(t.mbr)
	e := mbrEntry(mbr, p.Number)
	clear(e)
	e[4] = map[Kind]byte{Linux: 0x83, FAT: 0x0e}[n.Kind]
	start, end := p.Start/t.SectorSize, p.end()/t.SectorSize
	putCHS(e[1:4], start)
	putCHS(e[5:8], end-1)
	little.PutUint32(e[8:], uint32(start))
	little.PutUint32(e[12:], uint32(end-start))
	return []write{{0, mbr}}
}

// putCHS writes a sector's address in the old form of 255 heads and 63 sectors;
// what it cannot say is its largest.
func putCHS(b []byte, lba int64) {
	cylinder, head, sector := lba/(255*63), lba/63%255, lba%63+1
	if cylinder > 1023 {
		cylinder, head, sector = 1023, 254, 63
	}
	b[0], b[1], b[2] = byte(head), byte(sector|cylinder>>2&0xc0), byte(cylinder)
}
