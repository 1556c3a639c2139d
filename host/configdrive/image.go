package configdrive

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"

	"imprint/base/iso9660"
	"imprint/base/vfat"
)

// Image is a drive that is planned and not yet written. It may be written
// several times, one after the other.
type Image struct {
	size   int64
	format Format
	label  string
	sync   bool
	body   io.WriterTo
}

// Size is the number of bytes that are written.
func (m *Image) Size() int64 { return m.size }

// WriteTo writes the volume to w in one pass, in constant memory. After an
// error what w has is no volume.
func (m *Image) WriteTo(w io.Writer) (int64, error) { return m.body.WriteTo(w) }

// into makes the volume the whole content of f, with holes where its format has
// room to spare.
func (m *Image) into(f *os.File) error {
	if p, ok := m.body.(*vfat.Plan); ok {
		return p.WriteSparse(f)
	}
	_, err := m.body.WriteTo(f)
	return err
}

// file is one file of an image.
type file struct {
	path string
	size int64
	open func() (io.ReadCloser, error)
}

func opener(body []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
}

// serial makes a volume's serial number of a name.
func serial(name string) uint32 { return crc32.ChecksumIEEE([]byte(name)) }

// maxFiles bounds the files that Tree takes.
const maxFiles = 1 << 16

// Tree plans a drive of a directory's files, which are read when the image is
// written. Their modes, owners and times are not taken: on the drive they are
// those of Nova's. Links and devices are an error, as is a name that the format
// cannot carry.
func (v Volume) Tree(fsys fs.FS) (*Image, error) {
	var files []file
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s is neither a file nor a directory", name)
		}
		if len(files) == maxFiles {
			return fmt.Errorf("more than %d files", maxFiles)
		}
		i, err := d.Info()
		if err != nil {
			return err
		}
		files = append(files, file{name, i.Size(), func() (io.ReadCloser, error) { return fsys.Open(name) }})
		return nil
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("there are no files")
	}
	if err != nil {
		return nil, err
	}
	if v.ID == 0 {
		sum := ""
		for _, f := range files {
			sum += fmt.Sprintf("%s %d\n", f.path, f.size)
		}
		v.ID = serial(sum)
	}
	return v.image(files)
}

// iso9660 is the volume with the facts of Nova's, which genisoimage makes:
// files 0444 and directories 0555 of root, for the system LINUX.
func (v Volume) iso9660(files []file) (*Image, error) {
	image := iso9660.Image{Volume: iso9660.Volume{
		Label: v.label(), System: "LINUX", Publisher: v.Publisher, Created: v.Created,
	}}
	for _, f := range files {
		image.Files = append(image.Files, iso9660.File{Path: f.path, Size: f.size, Open: f.open})
	}
	plan, err := image.Plan()
	if err != nil {
		return nil, err
	}
	return &Image{size: plan.Size(), format: ISO9660, label: v.label(), sync: v.Sync, body: plan}, nil
}
