package iso9660

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// pack leaves out what is zero of a volume: the system area, and the ends of
// sectors. Each sector becomes its length in two bytes and that many bytes.
func pack(volume []byte) []byte {
	var b []byte
	for s := range slices.Chunk(volume[min(len(volume), systemArea*sector):], sector) {
		s = bytes.TrimRight(s, "\x00")
		b = append(le.AppendUint16(b, uint16(len(s))), s...)
	}
	return b
}

// unpack makes a volume of any bytes.
func unpack(b []byte) []byte {
	volume := make([]byte, systemArea*sector, systemArea*sector+len(b))
	for len(b) >= 2 {
		n := min(int(le.Uint16(b))%(sector+1), len(b)-2)
		volume = append(append(volume, b[2:2+n]...), make([]byte, sector-n)...)
		b = b[2+n:]
	}
	return volume
}

// FuzzOpen opens any bytes, walks to everything and reads a part of everything.
func FuzzOpen(f *testing.F) {
	var seeds [][]byte
	for _, d := range damages {
		seeds = append(seeds, d.make(small(f)))
	}
	for _, name := range []string{"genisoimage", "xorriso", "plain"} {
		seeds = append(seeds, kept(f, name))
	}
	seeds = append(seeds, small(f), build(f, Image{Volume: volume()}), kept(f, "configdrive-c2")[:100*sector])
	for _, b := range seeds {
		f.Add(pack(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 64<<10 {
			return // as two bytes can be a sector
		}
		b = unpack(b)
		for _, tree := range []Tree{RockRidge, Joliet, Plain} {
			v, err := open(bytes.NewReader(b), int64(len(b)), tree)
			var damaged *FormatError
			switch {
			case err == nil:
				inspect(t, v, int64(len(b)))
			case !errors.Is(err, ErrNoVolume) && !errors.As(err, &damaged):
				t.Errorf("an error of no kind: %v", err)
			}
		}
	})
}

// inspect looks at every entry of a volume.
func inspect(t *testing.T, v *FS, size int64) {
	if !utf8.ValidString(v.Label()) {
		t.Errorf("label %q", v.Label())
	}
	entries := 0
	err := fs.WalkDir(v, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		i, err := d.Info()
		switch entries++; {
		case err != nil:
			return err
		case entries > maxEntries+1:
			return errors.New("too many entries")
		case len(name) > maxPath || !fs.ValidPath(name):
			return errors.New("name")
		case i.Size() < 0 || i.Size() > size+maxPath:
			return fmt.Errorf("%s: size %d of %d, %v", name, i.Size(), size, i.Mode())
		case i.Mode().Type() == fs.ModeSymlink:
			_, err := v.ReadLink(name)
			v.Stat(name) // may lead nowhere
			return err
		case i.Mode().IsRegular():
			return readPart(v, name, i.Size())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// readPart reads the beginning and the end of a file, if it can be opened.
func readPart(v *FS, name string, size int64) error {
	f, err := v.Open(name)
	if err != nil {
		if !errors.As(err, new(*fs.PathError)) {
			return err
		}
		return nil
	}
	const part = 4096
	n, err := io.CopyN(io.Discard, f, min(size, part))
	if err != nil || n != min(size, part) {
		return fmt.Errorf("%s: %d bytes of %d, %w", name, n, size, err)
	}
	var end [16]byte
	n2, err := f.(io.ReaderAt).ReadAt(end[:], max(0, size-10))
	if err != io.EOF || int64(n2) != min(size, 10) {
		return fmt.Errorf("%s: end of %d bytes: %d, %w", name, size, n2, err)
	}
	return f.Close()
}

// FuzzWrite writes what it is told to; what is accepted is read back.
func FuzzWrite(f *testing.F) {
	f.Add("config-2", "openstack/latest/meta_data.json", "content/0000", []byte("x"), uint32(0o444), uint32(0))
	f.Add("cidata", "ž/"+strings.Repeat("n", 103), "ž", []byte{}, uint32(0), uint32(math.MaxUint32))
	f.Add("x", "a.", "A", []byte{}, uint32(0o4755), uint32(7))
	f.Fuzz(func(t *testing.T, label, one, two string, content []byte, mode, uid uint32) {
		image := Image{Volume: Volume{Label: label}, Files: []File{text(one, string(content)), text(two, "2")}}
		image.Files[0].Mode, image.Files[0].UID = fileMode(mode&0o7777), uid
		if _, err := image.Plan(); err != nil {
			return
		}
		b := build(t, image)
		for _, tree := range []Tree{RockRidge, Joliet} {
			v := reopen(t, b, tree)
			got, err := fs.ReadFile(v, one)
			if err != nil || string(got) != string(content) || v.Label() != label {
				t.Errorf("%s: %q: %q, %v", tree, v.Label(), got, err)
			}
			if _, err := v.Stat(path.Dir(two)); err != nil {
				t.Error(err)
			}
		}
	})
}
