// Package configdrive answers "what is on an instance's config drive?": it
// turns the documents of an instance into a volume that the instance reads
// instead of, or besides, the metadata service.
//
// The volume has the label config-2 and is ISO 9660 with Rock Ridge and Joliet,
// or VFAT, as Nova makes them (nova: virt/configdrive.py, 26.2.2). It is
// written without a mount, an external program or a privilege.
package configdrive

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"imprint/base/iso9660"
	"imprint/base/openstack"
	"imprint/base/vfat"
)

// Label is the label by which an instance finds its drive.
const Label = "config-2"

// Format is a file system that a drive can have, under nova.conf's names
// (config_drive_format).
type Format string

// The formats.
const (
	ISO9660 Format = "iso9660"
	VFAT    Format = "vfat"
)

// ParseFormat reads a format's name.
func ParseFormat(s string) (Format, error) {
	if f := Format(s); f == ISO9660 || f == VFAT {
		return f, nil
	}
	return "", fmt.Errorf("%q is not %s or %s", s, ISO9660, VFAT)
}

// Volume is how a drive is made. The same volume and instance give the same
// bytes, if Random does; without one only the random_seed of the documents
// differs. Its methods are safe for concurrent use if Random is.
type Volume struct {
	Format Format // "" means ISO9660
	// Publisher says who made the drive, a name and a version in at most 128
	// printable ASCII characters; a VFAT volume has no place for it.
	Publisher string
	// Created is the time of the volume and of its files; zero means not said.
	Created time.Time
	// Random is the source of random_seed; nil means crypto/rand.
	Random io.Reader
}

// files are the files of i's drive.
func (v Volume) files(i *openstack.Instance) ([]openstack.DriveFile, error) {
	random := v.Random
	if random == nil {
		random = rand.Reader
	}
	return i.Drive(random, openstack.DriveSkips())
}

// iso9660 is the volume with the facts of Nova's, which genisoimage makes:
// files 0444 and directories 0555 of root, for the system LINUX.
func (v Volume) iso9660(files []openstack.DriveFile) iso9660.Image {
	image := iso9660.Image{Volume: iso9660.Volume{
		Label: Label, System: "LINUX", Publisher: v.Publisher, Created: v.Created,
	}}
	for _, f := range files {
		image.Files = append(image.Files, iso9660.File{Path: f.Path, Size: int64(len(f.Body)), Open: opener(f.Body)})
	}
	return image
}

// vfat is the volume with the facts of Nova's: FAT16 of 64 MiB. Its serial
// number, which mkfs.vfat takes from the clock, is that of the instance.
func (v Volume) vfat(i *openstack.Instance, files []openstack.DriveFile) *vfat.Image {
	image := &vfat.Image{
		Label: Label, VolumeID: crc32.ChecksumIEEE([]byte(i.UUID)), Size: vfat.NovaSize, Type: vfat.FAT16, Time: v.Created,
	}
	for _, f := range files {
		image.Files = append(image.Files, vfat.File{Path: f.Path, Size: int64(len(f.Body)), Open: opener(f.Body)})
	}
	return image
}

func opener(body []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
}
