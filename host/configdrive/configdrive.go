// Package configdrive answers "what is on an instance's config drive?": it
// turns the documents of an instance into a volume that the instance reads
// instead of, or besides, the metadata service, and reads such volumes back.
//
// The volume has the label config-2 and is ISO 9660 with Rock Ridge and Joliet,
// or VFAT, as Nova makes them (nova: virt/configdrive.py, 26.2.2). It is
// written without a mount, an external program or a privilege: as a file, or as
// the last partition of a disk.
package configdrive

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"imprint/base/openstack"
	"imprint/base/vfat"
)

// The labels by which an instance finds its drive. Readers take each in any
// case.
const (
	Label   = "config-2" // OpenStack's documents
	NoCloud = "cidata"   // cloud-init's own: user-data, meta-data, network-config
)

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

// Volume is how a drive is made. The same volume and contents give the same
// bytes, if Random does; without one only the random_seed of the documents
// differs. Its methods are safe for concurrent use if Random is.
type Volume struct {
	Format Format // "" means ISO9660
	Label  string // "" means [Label]; at most 11 ASCII characters for VFAT, 32 for ISO9660
	// FAT32 makes a VFAT volume FAT32; without, it is FAT16 as long as that
	// carries the files.
	FAT32 bool
	// Publisher says who made the drive, a name and a version in at most 128
	// printable ASCII characters; a VFAT volume has no place for it.
	Publisher string
	// Created is the time of the volume and of its files; zero means not said.
	Created time.Time
	// ID is the serial number of a VFAT volume; 0 is one made of the contents:
	// of the instance's id, or of the names and sizes of the files.
	ID uint32
	// Random is the source of random_seed; nil means crypto/rand.
	Random io.Reader
	// Sync has WriteFile wait until the drive is on disk. Without, a drive that
	// was just made may be cut off after a loss of power, as after any run of
	// genisoimage; Whole finds that out.
	Sync bool
	// Skip are versions of the EC2 tree that the drive leaves out; nil means
	// [openstack.DriveSkips].
	Skip []string
}

func (v Volume) label() string {
	if v.Label == "" {
		return Label
	}
	return v.Label
}

// Instance plans the drive of an instance: OpenStack's documents under the label
// [Label], cloud-init's own under [NoCloud].
func (v Volume) Instance(i *openstack.Instance) (*Image, error) {
	documents, err := v.documents(i)
	if err != nil {
		return nil, err
	}
	var files []file
	for _, d := range documents {
		files = append(files, file{d.Path, int64(len(d.Body)), opener(d.Body)})
	}
	if v.ID == 0 {
		v.ID = serial(i.UUID)
	}
	return v.image(files)
}

func (v Volume) documents(i *openstack.Instance) ([]openstack.DriveFile, error) {
	switch {
	case strings.EqualFold(v.label(), NoCloud):
		return noCloud(i)
	case !strings.EqualFold(v.label(), Label):
		return nil, fmt.Errorf("no instance looks for its documents under the label %q", v.label())
	}
	random, skip := v.Random, v.Skip
	if random == nil {
		random = rand.Reader
	}
	if skip == nil {
		skip = openstack.DriveSkips()
	}
	return i.Drive(random, skip)
}

// image plans the volume of files.
func (v Volume) image(files []file) (*Image, error) {
	switch v.Format {
	case ISO9660, "":
		return v.iso9660(files)
	case VFAT:
		return v.vfat(files)
	}
	return nil, fmt.Errorf("format %q is unknown", v.Format)
}

// vfat is the volume with the facts of Nova's: FAT16 of 64 MiB, or larger if
// the files need it.
func (v Volume) vfat(files []file) (*Image, error) {
	typ := vfat.FAT16
	if v.FAT32 {
		typ = vfat.FAT32
	}
	image := vfat.Image{Label: v.label(), VolumeID: v.ID, Size: vfat.NovaSize, Type: typ, Time: v.Created}
	for _, f := range files {
		image.Files = append(image.Files, vfat.File{Path: f.path, Size: f.size, Open: f.open})
	}
	plan, err := image.Plan()
	if errors.Is(err, vfat.ErrTooBig) {
		image.Size = 0
		if !v.FAT32 {
			image.Type = vfat.Auto
		}
		plan, err = image.Plan()
	}
	if err != nil {
		return nil, err
	}
	return &Image{size: plan.Size(), format: VFAT, label: image.Label, sync: v.Sync, body: plan}, nil
}
