package configdrive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"imprint/base/partition"
)

// chunk is how much of an image is copied at once, in bytes.
const chunk = 1 << 20

// Progress is told how much of a whole is done, in bytes. It is called by the
// goroutine that copies, for each MiB.
type Progress func(done, total int64)

// formats that are no raw image, by how they begin.
var formats = map[string]string{"QFI\xfb": "qcow2", "KDMV": "VMDK", "conectix": "VHD", "vhdxfile": "VHDX",
	"\x1f\x8b": "gzip", "\xfd7zXZ": "xz", "\x28\xb5\x2f\xfd": "zstd"}

// CheckImage says whether an image can be copied to the disk, with room for m
// behind it: it is a raw one with a partition table. Nothing is written.
func (d *Disk) CheckImage(image *os.File, m *Image) (size int64, err error) {
	st, err := image.Stat()
	if err != nil {
		return 0, err
	}
	head := make([]byte, 16)
	if _, err := image.ReadAt(head, 0); err != nil && err != io.EOF {
		return 0, fmt.Errorf("read image: %w", err)
	}
	for mark, name := range formats {
		if bytes.HasPrefix(head, []byte(mark)) {
			return 0, fmt.Errorf("image %s is %s, not raw (qemu-img convert -O raw, or a decompressor, makes it raw)", image.Name(), name)
		}
	}
	if own, err := d.Stat(); err == nil && os.SameFile(st, own) {
		return 0, fmt.Errorf("%s is image and disk at once", image.Name())
	}
	if st.Size() > d.size {
		return 0, fmt.Errorf("image %s has %d bytes, disk %s %d", image.Name(), st.Size(), d.Name(), d.size)
	}
	if _, err := partition.Read(image, st.Size(), d.sectorSize); err != nil {
		return 0, fmt.Errorf("image %s: %w", image.Name(), err)
	}
	onDisk, err := partition.Read(image, d.size, d.sectorSize)
	if err == nil {
		_, err = onDisk.Append(m.partition(Placing{}))
	}
	if err != nil {
		return 0, fmt.Errorf("image %s on %s: %w", image.Name(), d.Name(), err)
	}
	return st.Size(), nil
}

// Copy writes the image to the beginning of the disk, and takes away the mark
// of another GPT at its end. What else the disk had behind the image stays.
func (d *Disk) Copy(ctx context.Context, image *os.File, size int64, told Progress) error {
	b, was := make([]byte, chunk), make([]byte, chunk)
	for at := int64(0); at < size; at += chunk {
		part := b[:min(chunk, size-at)]
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := readAt(image, part, at); err != nil {
			return err
		}
		if err := d.put(part, at, was); err != nil {
			return err
		}
		told(at+int64(len(part)), size)
	}
	last := b[:4096]
	if err := readAt(d, last, d.size-4096); err != nil {
		return err
	}
	for _, sector := range []int{512, 4096} {
		if mark := last[len(last)-sector:]; bytes.HasPrefix(mark, []byte("EFI PART")) && size <= d.size-int64(sector) {
			if _, err := d.WriteAt(make([]byte, sector), d.size-int64(sector)); err != nil {
				return err
			}
		}
	}
	return d.Sync()
}

// put writes part at an offset. What a file has already is not written again,
// so that its holes stay; was is room to look.
func (d *Disk) put(part []byte, at int64, was []byte) error {
	if !d.Device() && readAt(d, was[:len(part)], at) == nil && bytes.Equal(was[:len(part)], part) {
		return nil
	}
	_, err := d.WriteAt(part, at)
	return err
}

// Compare reads back what Copy wrote, from the medium, and says where it
// differs from the image, the places that p's table has changed left out.
func (d *Disk) Compare(ctx context.Context, image *os.File, size int64, p *Placed, told Progress) error {
	// What is only in memory is let go, so that the disk is read.
	if err := unix.Fadvise(int(d.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return fmt.Errorf("%s: drop its cache: %w", d.Name(), err)
	}
	want, got := make([]byte, chunk), make([]byte, chunk)
	for at := int64(0); at < size; at += chunk {
		n := min(chunk, size-at)
		if err := errors.Join(ctx.Err(), readAt(image, want[:n], at), readAt(d, got[:n], at)); err != nil {
			return err
		}
		p.Blank(want[:n], at)
		p.Blank(got[:n], at)
		if !bytes.Equal(want[:n], got[:n]) {
			i := 0
			for want[i] == got[i] {
				i++
			}
			return fmt.Errorf("%s: byte %d is not that of image %s", d.Name(), at+int64(i), image.Name())
		}
		told(at+n, size)
	}
	return nil
}

// readAt fills b from offset at of f.
func readAt(f io.ReaderAt, b []byte, at int64) error {
	n, err := f.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Drive reads the drive that was placed.
func (d *Disk) Drive(p *Placed) (*Drive, error) {
	drive, err := openVolume(io.NewSectionReader(d, p.Start, p.Size), p.Size)
	if err != nil {
		return nil, fmt.Errorf("%s: partition %d: %w", d.Name(), p.Number, err)
	}
	drive.Partition = p.Number
	return drive, nil
}

// Reread has the kernel take the disk's new partitions; an image has none.
func (d *Disk) Reread() error {
	if !d.Device() {
		return nil
	}
	if err := unix.IoctlSetInt(int(d.Fd()), unix.BLKRRPART, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%s: have the kernel read its partitions: %w", d.Name(), err)
	}
	return nil // EINVAL: a loop device without partitions
}
