package configdrive

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"path"

	"imprint/base/openstack"
)

// maxDocument bounds the documents that Verify parses, in bytes.
const maxDocument = 16 << 20

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
