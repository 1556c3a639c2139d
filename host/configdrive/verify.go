package configdrive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"imprint/base/iso9660"
	"imprint/base/openstack"
)

// maxDocument bounds the documents that Verify parses, in bytes.
const maxDocument = 16 << 20

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

// document returns a file's content; nil, said to be wrong if it is needed,
// when there is none.
func (c *check) document(name string, needed bool) []byte {
	f, err := c.drive.Open(name)
	if errors.Is(err, fs.ErrNotExist) && !needed {
		return nil
	}
	var b []byte
	if err == nil {
		defer f.Close()
		b, err = io.ReadAll(io.LimitReader(f, maxDocument+1))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.wrong(name, "it is missing")
	case err != nil:
		c.wrong(name, "%w", err)
	case len(b) > maxDocument:
		c.wrong(name, "it has more than %d bytes", maxDocument)
	default:
		return append([]byte{}, b...)
	}
	return nil
}

// noCloud checks what cloud-init needs of a cidata volume (cloud-init 22.4:
// sources/DataSourceNoCloud.py, required).
func (c *check) noCloud() {
	if b := c.document("meta-data", true); b != nil && !bytes.Contains(b, []byte("instance-id")) {
		c.wrong("meta-data", "it has no instance-id")
	}
	c.document("user-data", true)
}

// openStack checks every version of OpenStack's documents and the EC2 tree.
func (c *check) openStack() {
	c.metaData("openstack/latest", true)
	versions, err := fs.ReadDir(c.drive, "openstack")
	if err != nil {
		return // meta_data.json is missing, which is said
	}
	for _, v := range versions {
		if !v.IsDir() || v.Name() == "content" {
			continue
		}
		dir := path.Join("openstack", v.Name())
		if v.Name() != openstack.Latest {
			c.metaData(dir, false)
		}
		if b := c.document(dir+"/network_data.json", false); b != nil {
			_, err := openstack.ParseNetworkData(b)
			c.parsed(dir+"/network_data.json", err)
		}
		for _, name := range []string{"vendor_data.json", "vendor_data2.json"} {
			if b := c.document(path.Join(dir, name), false); b != nil {
				_, err := openstack.ParseVendorData(b)
				c.parsed(path.Join(dir, name), err)
			}
		}
	}
	const ec2 = "ec2/latest/meta-data.json"
	if b := c.document(ec2, false); b != nil && !json.Valid(b) {
		c.wrong(ec2, "it is not JSON")
	}
}

func (c *check) parsed(name string, err error) {
	if err != nil {
		c.wrong(name, "%w", err)
	}
}

func (c *check) metaData(dir string, needed bool) {
	name := dir + "/meta_data.json"
	b := c.document(name, needed)
	if b == nil {
		return
	}
	m, err := openstack.ParseMetaData(b)
	if err != nil {
		c.wrong(name, "%w", err)
		return
	}
	if c.uuid == "" {
		c.uuid = m.UUID
	}
	if m.UUID == "" || m.UUID != c.uuid {
		c.wrong(name, "its uuid is %q, elsewhere %q", m.UUID, c.uuid)
	}
	for _, at := range contentsOf(m) {
		place := path.Join("openstack", at)
		if _, err := fs.Stat(c.drive, place); err != nil {
			c.wrong(name, "it names %s: %w", at, err)
		}
	}
}

// contentsOf are the contents that a document names.
func contentsOf(m openstack.MetaData) []string {
	var all []string
	if m.NetworkConfig != nil {
		all = append(all, m.NetworkConfig.ContentPath)
	}
	for _, f := range m.Files {
		all = append(all, f.ContentPath)
	}
	return all
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
