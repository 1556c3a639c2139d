package partition

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

var little = binary.LittleEndian

const (
	headerSize   = 92      // 5.3.2, without what is reserved
	entrySize    = 128     // 5.3.3
	maxEntries   = 1 << 20 // bytes of the partition entry array that are read
	firstNameLen = 36      // UTF-16 units of a name
)

// header is a GPT with its entries. 5.3.2
type header struct {
	sector  []byte // the header's whole sector
	entries []byte
	size    uint32 // of an entry
}

// The fields of a header, by their offset.
const (
	atHeaderSize = 12
	atHeaderCRC  = 16
	atMyLBA      = 24
	atOtherLBA   = 32
	atFirst      = 40
	atLast       = 48
	atEntriesLBA = 72
	atCount      = 80
	atEntrySize  = 84
	atEntriesCRC = 88
)

func (h *header) field(at int) int64 { return int64(little.Uint64(h.sector[at:])) }

// readGPT reads the primary table; the backup is only ever written.
func (t *Table) readGPT(d disk, sectorSize int64) error {
	sizes := []int64{512, 4096}
	if sectorSize != 0 {
		sizes = []int64{sectorSize}
	}
	var found error
	for _, s := range sizes {
		h, err := readHeader(d, s)
		if err == nil {
			t.Scheme, t.SectorSize, t.gpt = GPT, s, h
			return t.listGPT()
		}
		if found == nil || !errors.Is(err, errNoHeader) {
			found = err
		}
	}
	return found
}

var errNoHeader = errors.New("the MBR protects a GPT that is not there")

func readHeader(d disk, sector int64) (*header, error) {
	b, err := d.read(sector, sector)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(b, []byte("EFI PART\x00\x00\x01\x00")) {
		return nil, errNoHeader
	}
	h := &header{sector: b}
	n := little.Uint32(b[atHeaderSize:])
	if n < headerSize || int64(n) > sector || h.checksum() != little.Uint32(b[atHeaderCRC:]) || h.field(atMyLBA) != 1 {
		return nil, errors.New("the GPT's primary header is damaged (gdisk repairs it from the backup)")
	}
	count := little.Uint32(b[atCount:])
	h.size = little.Uint32(b[atEntrySize:])
	if h.size < entrySize || h.size%entrySize != 0 || uint64(count)*uint64(h.size) > maxEntries || count == 0 {
		return nil, fmt.Errorf("a GPT of %d entries of %d bytes", count, h.size)
	}
	at := h.field(atEntriesLBA)
	if at < 2 || at > math.MaxInt64/sector {
		return nil, fmt.Errorf("the GPT's entries lie at sector %d", at)
	}
	if h.entries, err = d.read(at*sector, int64(count)*int64(h.size)); err != nil {
		return nil, err
	}
	if checksumOf(h.entries) != little.Uint32(b[atEntriesCRC:]) {
		return nil, errors.New("the GPT's primary entries are damaged (gdisk repairs them from the backup)")
	}
	return h, nil
}

// checksum is the header's, with its own field taken for zero.
func (h *header) checksum() uint32 {
	b := bytes.Clone(h.sector[:little.Uint32(h.sector[atHeaderSize:])])
	clear(b[atHeaderCRC : atHeaderCRC+4])
	return checksumOf(b)
}

// entry is entry number n, from 1.
func (h *header) entry(n int) []byte {
	return h.entries[(n-1)*int(h.size) : n*int(h.size)]
}

func (h *header) count() int { return len(h.entries) / int(h.size) }

// used reports whether an entry has a type. 5.3.3
func used(entry []byte) bool { return [16]byte(entry) != [16]byte{} }

func (t *Table) listGPT() error {
	h := t.gpt
	sectors := t.size / t.SectorSize
	first := h.field(atFirst)
	if end := h.field(atEntriesLBA) + t.arraySectors(); first < end || first >= sectors {
		return fmt.Errorf("the GPT's first usable sector is %d", first)
	}
	for n := 1; n <= h.count(); n++ {
		e := h.entry(n)
		if !used(e) {
			continue
		}
		start, last := int64(little.Uint64(e[32:])), int64(little.Uint64(e[40:]))
		if start < first || last < start || last >= sectors {
			return fmt.Errorf("partition %d has the sectors %d to %d of %d", n, start, last, sectors)
		}
		t.Partitions = append(t.Partitions, Partition{Number: n, Start: start * t.SectorSize, Size: (last - start + 1) * t.SectorSize})
	}
	return nil
}

// arraySectors is how many sectors the entries take.
func (t *Table) arraySectors() int64 {
	return (int64(len(t.gpt.entries)) + t.SectorSize - 1) / t.SectorSize
}

// lastUsable is the last byte and one that a partition may have when the backup
// lies at the end of the disk, whatever the header says.
func (t *Table) lastUsableGPT() int64 {
	return (t.size/t.SectorSize - 1 - t.arraySectors()) * t.SectorSize
}

// kinds are the partition type GUIDs as their bytes are on disk: Linux
// filesystem data and Microsoft basic data.
var kinds = [...][16]byte{
	Linux: {0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4},
	FAT:   {0xa2, 0xa0, 0xd0, 0xeb, 0xe5, 0xb9, 0x33, 0x44, 0x87, 0xc0, 0x68, 0xb6, 0xb7, 0x26, 0x99, 0xc7},
}

// appendGPT returns the writes of a table that has p too, the backup first.
func (t *Table) appendGPT(p Partition, n New) []write {
	entries := bytes.Clone(t.gpt.entries)
	e := (&header{entries: entries, size: t.gpt.size}).entry(p.Number)
	copy(e, kinds[n.Kind][:])
	copy(e[16:], n.ID[:])
	little.PutUint64(e[32:], uint64(p.Start/t.SectorSize))
	little.PutUint64(e[40:], uint64(p.end()/t.SectorSize-1))
	for i, c := range []byte(n.Name) {
		little.PutUint16(e[56+2*i:], uint16(c))
	}
	last := t.size/t.SectorSize - 1
	place := t.gpt.field(atEntriesLBA)
	backup := last - t.arraySectors()
	return append([]write{
		{backup * t.SectorSize, entries},
		{last * t.SectorSize, t.header(entries, last, 1, backup)},
		{place * t.SectorSize, entries},
		{t.SectorSize, t.header(entries, 1, last, place)},
	}, t.protect()...)
}

// header is the header's sector at LBA mine.
func (t *Table) header(entries []byte, mine, other, place int64) []byte {
	h := &header{sector: bytes.Clone(t.gpt.sector)}
	for at, v := range map[int]int64{atMyLBA: mine, atOtherLBA: other, atEntriesLBA: place, atLast: t.lastUsableGPT()/t.SectorSize - 1} {
		little.PutUint64(h.sector[at:], uint64(v))
	}
	little.PutUint32(h.sector[atEntriesCRC:], checksumOf(entries))
	little.PutUint32(h.sector[atHeaderCRC:], h.checksum())
	return h.sector
}

// protect has the protective MBR cover a disk that has grown. 5.2.3
func (t *Table) protect() []write {
	mbr := bytes.Clone(t.mbr)
	e := mbrEntry(mbr, protective(mbr))
	if little.Uint32(e[8:]) != 1 {
		return nil // it is made for a reader of its own kind
	}
	for n := 1; n <= 4; n++ {
		if other := mbrEntry(mbr, n); other[4] != 0 && other[4] != typeProtective {
			return nil // a hybrid's
		}
	}
	little.PutUint32(e[12:], uint32(min(t.size/t.SectorSize-1, math.MaxUint32)))
	if bytes.Equal(mbr, t.mbr) {
		return nil
	}
	return []write{{0, mbr}}
}

func checksumOf(b []byte) uint32 { return crc32.ChecksumIEEE(b) }
