package configdrive

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"imprint/base/partition"
)

// Disk is a disk or the raw image of one, open for changes. It is not safe for
// concurrent use.
type Disk struct {
	*os.File
	size       int64
	sectorSize int64 // 0 for an image: what its table says
}

// OpenDisk opens a block device or a regular file. A block device that is in
// use, mounted for one, is refused (open(2), O_EXCL), and nobody can mount it
// as long as it is open.
func OpenDisk(name string) (*Disk, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	flags := os.O_RDWR
	block := st.Mode().Type() == fs.ModeDevice
	switch {
	case block:
		flags |= unix.O_EXCL
	case !st.Mode().IsRegular():
		return nil, fmt.Errorf("%s is neither a disk nor a file", name)
	}
	f, err := os.OpenFile(name, flags, 0)
	if errors.Is(err, unix.EBUSY) {
		return nil, fmt.Errorf("%s is in use: it, or a partition of it, is mounted, or something is built on it: %w", name, err)
	}
	if err != nil {
		return nil, err
	}
	d := &Disk{File: f}
	if d.size, err = f.Seek(0, io.SeekEnd); err == nil && block {
		var n int
		n, err = unix.IoctlGetInt(int(f.Fd()), unix.BLKSSZGET)
		d.sectorSize = int64(n)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("size of %s: %w", name, err), f.Close())
	}
	return d, nil
}

// Size is the disk's size in bytes.
func (d *Disk) Size() int64 { return d.size }

// Device reports whether the disk is a block device.
func (d *Disk) Device() bool { return d.sectorSize != 0 }

// Placing says how a drive is put on a disk.
type Placing struct {
	// Grow lets an image that has no room grow by as much as is needed.
	Grow bool
	// ID is the unique GUID of the partition, for a GPT; zero is a random one.
	ID [16]byte
}

// Placed is a drive's partition on a disk.
type Placed struct {
	*partition.Addition
	Scheme partition.Scheme
}

// Append makes the drive the disk's last partition, named after its label, at
// the disk's end. All other partitions stay as they are, in their place; the
// backup of a GPT goes to the end. The table is written when the drive is
// complete: until then an error leaves all that the disk has. An image is the
// same to the byte then, and as large as it was, unless there was junk where the
// drive was to be.
func (d *Disk) Append(m *Image, p Placing) (*Placed, error) {
	placed, err := d.append(m, p)
	if err != nil {
		return nil, fmt.Errorf("add config drive to %s: %w", d.Name(), err)
	}
	return placed, nil
}

func (d *Disk) append(m *Image, p Placing) (*Placed, error) {
	if p.ID == ([16]byte{}) {
		rand.Read(p.ID[:])
		p.ID[7], p.ID[8] = p.ID[7]&0x0f|0x40, p.ID[8]&0x3f|0x80 // RFC 9562 5.4, in the order of a GPT
	}
	table, err := partition.Read(d, d.size, d.sectorSize)
	if err != nil {
		return nil, err
	}
	was := d.size
	if p.Grow && !d.Device() {
		if d.size = table.Need(m.size); d.size > was {
			table, err = d.grow(was)
		}
		if err != nil {
			return nil, err
		}
	}
	a, err := table.Append(m.partition(p))
	if err != nil {
		return nil, err
	}
	blank := d.size == was && d.blank(a.Partition)
	if err := d.fill(m, a.Partition); err != nil {
		if blank {
			err = errors.Join(err, d.punch(a.Partition))
		}
		return nil, errors.Join(err, d.shrink(was))
	}
	return &Placed{Addition: a, Scheme: table.Scheme}, a.Commit(d)
}

// partition describes the partition that m needs.
func (m *Image) partition(p Placing) partition.New {
	n := partition.New{Size: m.size, Name: m.label, ID: p.ID}
	if m.format == VFAT {
		n.Kind = partition.FAT
	}
	return n
}

// grow makes the file as large as d.size says and reads its table again.
func (d *Disk) grow(was int64) (*partition.Table, error) {
	if err := d.Truncate(d.size); err != nil {
		return nil, errors.Join(err, d.shrink(was))
	}
	table, err := partition.Read(d, d.size, d.sectorSize)
	if err != nil {
		return nil, errors.Join(err, d.shrink(was))
	}
	return table, nil
}

func (d *Disk) shrink(was int64) error {
	if d.size == was {
		return nil
	}
	d.size = was
	return d.Truncate(was)
}

// blank reports whether an image has nothing but zeros where p is to be.
func (d *Disk) blank(p partition.Partition) bool {
	if d.Device() {
		return false
	}
	b, zeros := make([]byte, chunk), make([]byte, chunk)
	for at := p.Start; at < p.Start+p.Size; at += chunk { // partitions are whole MiB
		if readAt(d, b, at) != nil || !bytes.Equal(b, zeros) {
			return false
		}
	}
	return true
}

// punch makes p zeros again, and gives its room back.
func (d *Disk) punch(p partition.Partition) error {
	return unix.Fallocate(int(d.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, p.Start, p.Size)
}

// fill writes the drive, and zeros to the partition's end: what was there
// before must not be taken for something else's mark.
func (d *Disk) fill(m *Image, p partition.Partition) error {
	w := io.NewOffsetWriter(d, p.Start)
	n, err := m.WriteTo(w)
	if err == nil {
		_, err = w.Write(make([]byte, p.Size-n))
	}
	if err == nil {
		err = d.Sync()
	}
	return err
}
