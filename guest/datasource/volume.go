package datasource

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"imprint/base/iso9660"
	"imprint/base/vfat"
)

// openLabelled reads a volume, ISO 9660 or FAT, that has one of the labels; nil
// without an error if it has another one, or none that can be found. The
// kernel's own file systems are not needed.
func openLabelled(r io.ReaderAt, size int64, labels ...string) (fs.FS, error) {
	if label, ok := isoLabel(r); ok {
		if !slices.Contains(labels, label) {
			return nil, nil
		}
		volume, err := iso9660.Open(r, size)
		if err != nil {
			return nil, fmt.Errorf("read ISO 9660 volume: %w", err)
		}
		return volume, nil
	}
	said := fatLabels(r)
	if len(said) == 0 {
		return nil, nil
	}
	volume, err := vfat.Open(r, size)
	has := func(label string) bool { return slices.Contains(labels, label) }
	switch {
	case err == nil && (has(volume.Label()) || has(said[bootLabel(volume.Type())])):
		return volume, nil
	case err != nil && slices.ContainsFunc(said, has):
		return nil, fmt.Errorf("read FAT volume: %w", err)
	}
	return nil, nil
}

// bootLabel is which of fatLabels counts.
func bootLabel(t vfat.Type) int {
	if t == vfat.FAT32 {
		return 1
	}
	return 0
}

// fatLabels are the texts where a boot sector has its label: FAT12's and
// FAT16's place, and FAT32's. None if it is no boot sector; that of a disk with
// partitions looks like one. The label that counts is in the root directory.
func fatLabels(r io.ReaderAt) []string {
	b := make([]byte, 512)
	if !read(r, b, 0) || b[510] != 0x55 || b[511] != 0xaa {
		return nil
	}
	return []string{strings.TrimRight(string(b[43:54]), " "), strings.TrimRight(string(b[71:82]), " ")}
}

// isoLabel reads the label from the primary volume descriptor (ECMA-119 8.4).
func isoLabel(r io.ReaderAt) (string, bool) {
	b := make([]byte, 72)
	if !read(r, b, 16*2048) || string(b[:6]) != "\x01CD001" {
		return "", false
	}
	return strings.TrimRight(string(b[40:72]), " \x00"), true
}

// read fills b. A disk that ends before has no volume there.
func read(r io.ReaderAt, b []byte, at int64) bool {
	n, err := r.ReadAt(b, at)
	return n == len(b) && (err == nil || errors.Is(err, io.EOF))
}
