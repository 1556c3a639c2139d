// Package partition reads a disk's partition table, GPT or MBR, and adds one
// last partition to it.
//
// [Read] takes the table for hostile: all it allocates is bounded, and a table
// that is damaged, or whose partitions overlap or pass the end, is refused,
// because nobody knows what adding to it would do. [Table.Append] works out an
// addition without touching the disk, [Addition.Commit] writes it.
//
// The clauses cited beside the code are those of the UEFI Specification 2.10.
package partition

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Scheme is a kind of partition table.
type Scheme string

// The schemes.
const (
	GPT Scheme = "gpt"
	MBR Scheme = "mbr"
)

// Kind is what a new partition says that it holds.
type Kind int

// The kinds.
const (
	Linux Kind = iota // a file system of Linux's, ISO 9660 among them
	FAT               // a FAT file system
)

var (
	// ErrNoTable says that there is no partition table, or an empty one.
	ErrNoTable = errors.New("no partition table")
	// ErrNoRoom says that a partition does not fit behind the others.
	ErrNoRoom = errors.New("no room for another partition")
)

// alignment of new partitions, in bytes: what every tool uses today.
const alignment = 1 << 20

// Partition is one of a disk.
type Partition struct {
	Number int   // as the kernel counts, from 1
	Start  int64 // its first byte on the disk
	Size   int64 // bytes
}

func (p Partition) end() int64 { return p.Start + p.Size }

// Table is a disk's partition table.
type Table struct {
	Scheme     Scheme
	SectorSize int64       // bytes; partitions are whole sectors
	Partitions []Partition // by their place on the disk

	size int64 // of the disk
	mbr  []byte
	gpt  *header
}

// New describes a partition to be added.
type New struct {
	Size int64    // bytes; it is rounded up to whole MiB
	Kind Kind     // what it holds
	Name string   // GPT: at most 36 ASCII characters
	ID   [16]byte // GPT: its unique GUID, as its bytes are on disk
}

// Read reads the table of the disk in the first size bytes of r. sectorSize is
// that of the device; 0 is for an image, which has 512 bytes a sector unless
// there is a GPT at 4096. An MBR's logical partitions are not listed, the
// extended partition that they are in is.
func Read(r io.ReaderAt, size, sectorSize int64) (*Table, error) {
	if sectorSize != 0 && sectorSize != 512 && sectorSize != 4096 {
		return nil, fmt.Errorf("partition table: sectors of %d bytes", sectorSize)
	}
	d := disk{r: r, size: size}
	mbr, err := d.read(0, mbrSize)
	if err != nil {
		return nil, fmt.Errorf("partition table: %w", err)
	}
	t := &Table{Scheme: MBR, SectorSize: cmp.Or(sectorSize, 512), size: size, mbr: mbr}
	if protective(mbr) >= 0 {
		err = t.readGPT(d, sectorSize)
	} else {
		err = t.readMBR()
	}
	if err == nil {
		err = t.check()
	}
	if err != nil {
		return nil, fmt.Errorf("partition table: %w", err)
	}
	return t, nil
}

// check puts the partitions in order and refuses what cannot be.
func (t *Table) check() error {
	slices.SortFunc(t.Partitions, func(a, b Partition) int { return cmp.Compare(a.Start, b.Start) })
	before := Partition{}
	for _, p := range t.Partitions {
		switch {
		case p.end() > t.size:
			return fmt.Errorf("partition %d ends at byte %d, the disk at %d", p.Number, p.end(), t.size)
		case p.Start < before.end():
			return fmt.Errorf("partitions %d and %d overlap at byte %d", before.Number, p.Number, p.Start)
		}
		before = p
	}
	if len(t.Partitions) == 0 {
		return ErrNoTable
	}
	return nil
}

// disk is a disk's bytes.
type disk struct {
	r    io.ReaderAt
	size int64
}

// read returns n bytes from at on; n is bounded by the caller.
func (d disk) read(at, n int64) ([]byte, error) {
	if at < 0 || n > d.size || at > d.size-n {
		return nil, fmt.Errorf("%d bytes at %d pass the end of the disk at %d", n, at, d.size)
	}
	b := make([]byte, n)
	if got, err := d.r.ReadAt(b, at); int64(got) < n {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("byte %d: %w", at, err)
	}
	return b, nil
}
