package datasource

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"imprint/base/rootfs"
)

// Disks are the volumes that a system sees: disks, partitions, optical media,
// and files in their place. Used by one goroutine.
type Disks interface {
	// List names them, in no particular order, some perhaps twice; not all of
	// them need to be there.
	List() []string
	// Open gives one of them for reading. The caller closes it.
	Open(name string) (Disk, error)
}

// Disk is an open volume.
type Disk interface {
	io.ReaderAt
	io.Closer
	Size() int64 // in bytes
}

// openDisks are all disks that can be opened, by the device's name, the last one
// first: the order in which cloud-init tries them. Each is closed when the next
// one is asked for.
func openDisks(env Env) iter.Seq2[string, Disk] {
	return func(yield func(string, Disk) bool) {
		if env.Disks == nil {
			return
		}
		names := slices.Sorted(slices.Values(env.Disks.List()))
		for _, name := range slices.Backward(slices.Compact(names)) {
			disk, err := env.Disks.Open(name)
			if err != nil { // an optical drive without a medium is no news
				env.log().Debug("volume not opened", "device", name, "error", err)
				continue
			}
			more := yield(name, disk)
			disk.Close()
			if !more {
				return
			}
		}
	}
}

// DevDisks are those of a system's /dev.
type DevDisks struct{ Root *rootfs.Root }

// List names the devices of /dev that can carry a volume, and what udev gave
// the label of a config drive or a seed, by the name of the device itself.
func (d DevDisks) List() []string {
	var names []string
	entries, _ := d.Root.ReadDir("/dev")
	for _, e := range entries {
		if isVolume(e.Name()) {
			names = append(names, path.Join("/dev", e.Name()))
		}
	}
	for _, label := range []string{"config-2", "CONFIG-2", "cidata", "CIDATA"} {
		name, err := d.Root.Path("/dev/disk/by-label/" + label)
		if err != nil {
			continue
		}
		if rel, err := filepath.Rel(d.Root.Dir(), name); err == nil {
			names = append(names, path.Join("/", rel))
		}
	}
	return names
}

// isVolume knows the names of disks and partitions: SCSI's and SATA's, IDE's,
// virtio's, Xen's, NVMe's, those of memory cards, and of loops.
func isVolume(name string) bool {
	for _, pattern := range []string{"sr[0-9]*", "cd[0-9]*", "vd[a-z]*", "sd[a-z]*", "xvd[a-z]*", "hd[a-z]*", "nvme[0-9]*n[0-9]*", "mmcblk[0-9]*", "loop[0-9]*"} {
		if ok, _ := path.Match(pattern, name); ok {
			return true
		}
	}
	return false
}

// Open opens a block device or a regular file; containers show a volume as
// the latter.
func (d DevDisks) Open(name string) (Disk, error) {
	file, err := d.Root.Path(name)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(file); err != nil || !carries(info.Mode()) {
		return nil, errors.Join(err, errNoVolume)
	}
	// Without O_NONBLOCK an optical drive draws its tray in.
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("size of %s: %w", strings.TrimPrefix(file, d.Root.Dir()), err)
	}
	return openDisk{f, size}, nil
}

var errNoVolume = errors.New("neither a block device nor a regular file")

func carries(m fs.FileMode) bool {
	return m.IsRegular() || m.Type() == fs.ModeDevice // a character device has one more bit
}

type openDisk struct {
	*os.File
	size int64
}

func (d openDisk) Size() int64 { return d.size }
