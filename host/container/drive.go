package container

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// driveFile is the config drive in an instance's folder, by Nova's name. The
// instance gets it as it is, since the kernel may not know its file system:
// read-only, for its root alone, where Nova attaches the device, a CD-ROM or a
// disk (nova: virt/libvirt/driver.py, config_drive_cdrom and config drive disk).
const driveFile = "disk.config"

// driveLabel is the label of a config drive.
const driveLabel = "config-2"

// driveDevice returns the name below /dev of the drive in folder dir, "" when
// there is none: sr0 of an ISO 9660 volume, vdb of any other.
func driveDevice(dir string) (string, error) {
	f, err := os.OpenFile(filepath.Join(dir, driveFile), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("config drive: %w", err)
	}
	defer f.Close()
	// ECMA-119 8.1.2, of the first volume descriptor.
	standard := make([]byte, 5)
	if _, err := f.ReadAt(standard, 16*2048+1); err != nil && err != io.EOF {
		return "", fmt.Errorf("config drive: %w", err)
	}
	if string(standard) == "CD001" {
		return "sr0", nil
	}
	return "vdb", nil
}

// bindDrive makes a mount of the drive, for [shim.attachDrive]; the machine's
// files must still be there.
func (s *shim) bindDrive(users *os.File) (err error) {
	if s.spec.Drive == "" {
		return nil
	}
	if s.drive, err = idmapped(filepath.Join(s.spec.Dir, driveFile), users); err != nil {
		return err
	}
	return setAttrs(s.drive, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC)
}

// attachDrive puts the drive into /dev, with the link that udev would make.
func (s *shim) attachDrive(dev tree) error {
	if s.spec.Drive == "" {
		return nil
	}
	if err := dev.mkdirs("disk/by-label", 0o755, int(s.spec.UIDs)); err != nil {
		return err
	}
	fd := int(dev.f.Fd())
	if err := unix.Symlinkat("../../"+s.spec.Drive, fd, "disk/by-label/"+driveLabel); err != nil {
		return fmt.Errorf("link config drive: %w", err)
	}
	if err := unix.Mknodat(fd, s.spec.Drive, unix.S_IFREG|0o400, 0); err != nil {
		return fmt.Errorf("attach config drive: %w", err)
	}
	return dev.attach(s.drive, s.spec.Drive)
}
