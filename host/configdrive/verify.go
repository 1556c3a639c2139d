package configdrive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"imprint/base/iso9660"
)

// Known reports whether instances look for a volume of that label, in any case.
func Known(label string) bool {
	return strings.EqualFold(label, Label) || strings.EqualFold(label, NoCloud)
}

// Verify reads all of a drive and returns what is wrong with it, each thing by
// its path: what cannot be read, documents that are missing, that do not parse
// or that contradict each other, contents that they name and that are not
// there, and names that a reader of Joliet would not see. None is a good drive.
func (d *Drive) Verify() []error {
	c := check{drive: d}
	if !Known(d.Label) {
		c.wrong(".", "no instance looks for the label %q", d.Label)
	}
	c.readAll()
	if strings.EqualFold(d.Label, NoCloud) {
		c.noCloud()
	} else {
		c.openStack()
	}
	c.joliet()
	return c.found
}

// check collects what is wrong with a drive.
type check struct {
	drive *Drive
	found []error
	uuid  string
}

func (c *check) wrong(name, format string, args ...any) {
	c.found = append(c.found, fmt.Errorf("%s: "+format, append([]any{name}, args...)...))
}

// readAll reads every file. A hostile volume may name the same bytes many
// times; more than so many times its own size is not read.
func (c *check) readAll() {
	left := 16*c.drive.Size + chunk
	err := fs.WalkDir(c.drive, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		f, err := c.drive.Open(name)
		if err != nil {
			c.found = append(c.found, err)
			return nil
		}
		defer f.Close()
		n, err := io.Copy(io.Discard, io.LimitReader(f, left+1))
		if err != nil {
			c.wrong(name, "%w", err)
		}
		if left -= n; left < 0 {
			return errors.New("the files together are many times larger than the volume")
		}
		return nil
	})
	if err != nil {
		c.wrong(".", "%w", err)
	}
}

// joliet checks that a reader without Rock Ridge, Windows for one, sees the
// same files.
func (c *check) joliet() {
	iso, ok := c.drive.FS.(*iso9660.FS)
	if !ok || iso.Tree() != iso9660.RockRidge {
		return
	}
	other, err := iso9660.OpenTree(c.drive.source, c.drive.Size, iso9660.Joliet)
	if errors.Is(err, iso9660.ErrNoVolume) {
		return // there is none
	}
	if err != nil {
		c.wrong(".", "Joliet: %w", err)
		return
	}
	err = fs.WalkDir(iso, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		ours, err := e.Info()
		if err != nil {
			return err
		}
		if theirs, err := fs.Stat(other, name); err != nil {
			c.wrong(name, "Joliet: %w", err)
		} else if theirs.Size() != ours.Size() {
			c.wrong(name, "Joliet has %d bytes, Rock Ridge %d", theirs.Size(), ours.Size())
		}
		return nil
	})
	if err != nil {
		c.wrong(".", "%w", err)
	}
}
