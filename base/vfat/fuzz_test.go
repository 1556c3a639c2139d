package vfat

import (
	"bytes"
	"encoding/binary"
	"io"
	"io/fs"
	"strings"
	"testing"
)

// patched is a volume with some bytes exchanged.
type patched struct {
	base []byte
	at   map[int64]byte
}

func (p patched) ReadAt(b []byte, off int64) (int, error) {
	n, err := bytes.NewReader(p.base).ReadAt(b, off)
	for at, c := range p.at {
		if at >= off && at < off+int64(n) {
			b[at-off] = c
		}
	}
	return n, err
}

// patch makes a patched volume of edits of three bytes: where, in the parts
// that steer a reader, and what.
func patch(base []byte, regions [][2]int64, edits []byte) patched {
	total := int64(0)
	for _, r := range regions {
		total += r[1]
	}
	p := patched{base, map[int64]byte{}}
	for ; len(edits) >= 3 && len(p.at) < 64; edits = edits[3:] {
		at := int64(binary.LittleEndian.Uint16(edits)) % total
		for _, r := range regions {
			if at < r[1] {
				p.at[r[0]+at] = edits[2]
				break
			}
			at -= r[1]
		}
	}
	return p
}

// FuzzOpen walks and reads volumes: the input itself, or one of ours with the
// input as edits. Whatever they are, the walk ends, and finds no more than
// there are bytes.
func FuzzOpen(f *testing.F) {
	files := append(sample()[:16], text("BIG", strings.Repeat("x", 50_000)))
	bases := [][]byte{nil}
	steering := [][][2]int64{nil}
	for _, typ := range []Type{FAT12, FAT16, FAT32} {
		b := build(f, Image{Type: typ, Label: "config-2", Time: noon, Files: files})
		g := open(f, b).g
		bases = append(bases, b)
		steering = append(steering, [][2]int64{{0, 96}, {g.fatOff, 512}, {g.rootOff, 2048}, {g.dataOff, 16 * g.cluster}})
		f.Add(byte(len(bases)-1), []byte{})
		for at := uint16(0); at < 1200; at += 7 {
			edit := binary.LittleEndian.AppendUint16(nil, at)
			f.Add(byte(len(bases)-1), append(edit, byte(at/3)))
		}
	}
	small := build(f, Image{Type: FAT12, Label: "config-2", Files: files[:4]})
	f.Add(byte(0), small[:24<<10])
	f.Add(byte(0), small)
	f.Fuzz(func(t *testing.T, kind byte, data []byte) {
		var r io.ReaderAt = bytes.NewReader(data)
		size := int64(len(data))
		if k := int(kind) % len(bases); k > 0 {
			r, size = patch(bases[k], steering[k], data), int64(len(bases[k]))
		}
		v, err := Open(r, size)
		if err != nil {
			return
		}
		read := int64(0)
		err = fs.WalkDir(v, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil
			}
			if !fs.ValidPath(path) {
				t.Errorf("path %q", path)
			}
			file, err := v.Open(path)
			if err != nil {
				return nil
			}
			n, err := io.Copy(io.Discard, file)
			if i, _ := d.Info(); err == nil && n != i.Size() {
				t.Errorf("%s: %d of %d bytes", path, n, i.Size())
			}
			read += n
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if read > size {
			t.Errorf("%d bytes of files in a volume of %d", read, size)
		}
	})
}

// FuzzNames writes names: those that are taken come back as they were, with
// aliases that differ.
func FuzzNames(f *testing.F) {
	for _, file := range sample()[:15] {
		f.Add(file.Path, "LETTER~1.TXT")
	}
	f.Add("letters.txt", "letter~1.txt")
	f.Add("ſ", "s")
	f.Fuzz(func(t *testing.T, a, b string) {
		im := Image{Type: FAT12, Files: []File{text(a, "a"), text(b, "b")}}
		var volume bytes.Buffer
		if _, err := im.WriteTo(&volume); err != nil {
			if volume.Len() > 0 {
				t.Errorf("%q, %q: %d bytes before %v", a, b, volume.Len(), err)
			}
			return
		}
		v := open(t, volume.Bytes())
		for path, want := range map[string]string{a: "a", b: "b"} {
			i, err := v.Stat(strings.TrimSuffix(path, "/"))
			if err != nil || !strings.HasSuffix("/"+strings.TrimSuffix(path, "/"), "/"+i.Name()) {
				t.Errorf("%q: %v, %v", path, i, err)
				continue
			}
			if got, err := fs.ReadFile(v, path); err != nil || string(got) != want {
				t.Errorf("%q: %q, %v", path, got, err)
			}
		}
		aliases := map[shortName]string{}
		for _, e := range v.dirs[0] {
			if other, ok := aliases[e.short]; ok {
				t.Errorf("%q and %q have the alias %s", e.name, other, e.short)
			}
			aliases[e.short] = e.name
		}
	})
}
