package configdrive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"imprint/base/iso9660"
	"imprint/base/partition"
	"imprint/base/vfat"
)

// Drive is a volume that is read, whoever made it. Its FS is bounded and safe
// as base/iso9660 and base/vfat say.
type Drive struct {
	fs.FS
	Format Format
	Label  string
	Size   int64 // bytes of what the volume lies in
	// Partition is the number of the partition that it was found in; 0 is none.
	Partition int

	source io.ReaderAt
}

// ErrNoDrive says that there is no volume of either format.
var ErrNoDrive = errors.New("neither an ISO 9660 nor a FAT volume, nor a disk with one labelled " + Label + " or " + NoCloud)

// Open reads the volume in the first size bytes of r, or, if that is a disk
// with partitions, the last one that is labelled as a drive is.
func Open(r io.ReaderAt, size int64) (*Drive, error) {
	d, err := openVolume(r, size)
	if err == nil {
		return d, nil
	}
	table, tableErr := partition.Read(r, size, 0)
	if tableErr != nil {
		if errors.Is(err, iso9660.ErrNoVolume) {
			return nil, ErrNoDrive
		}
		return nil, err
	}
	for i := len(table.Partitions) - 1; i >= 0; i-- {
		p := table.Partitions[i]
		d, err := openVolume(io.NewSectionReader(r, p.Start, p.Size), p.Size)
		if err == nil && Known(d.Label) {
			d.Partition = p.Number
			return d, nil
		}
	}
	return nil, ErrNoDrive
}

// openVolume tries both formats. The error is iso9660.ErrNoVolume for what is
// neither.
func openVolume(r io.ReaderAt, size int64) (*Drive, error) {
	d := &Drive{Format: ISO9660, Size: size, source: r}
	iso, err := iso9660.Open(r, size)
	if err == nil {
		d.FS, d.Label = iso, iso.Label()
		return d, nil
	}
	if !errors.Is(err, iso9660.ErrNoVolume) {
		return nil, err
	}
	fat, fatErr := vfat.Open(r, size)
	if fatErr == nil {
		d.FS, d.Label, d.Format = fat, fat.Label(), VFAT
		return d, nil
	}
	return nil, fmt.Errorf("%w; %w", err, fatErr)
}

// Facts are what a volume says of itself, beyond its label, in an order for
// people.
func (d *Drive) Facts() []string {
	switch v := d.FS.(type) {
	case *iso9660.FS:
		facts := []string{string(v.Tree()) + " names"}
		if p := v.Volume().Publisher; p != "" {
			facts = append(facts, fmt.Sprintf("by %q", p))
		}
		if t := v.Volume().Created; !t.IsZero() {
			facts = append(facts, "made "+t.UTC().Format("2006-01-02T15:04:05Z"))
		}
		return facts
	case *vfat.FS:
		return []string{v.Type().String(), fmt.Sprintf("serial number %04X-%04X", v.VolumeID()>>16, v.VolumeID()&0xffff)}
	}
	return nil
}
