package iso9660

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

var created = time.Date(2026, 11, 21, 3, 40, 20, 120_000_000, time.UTC)

func volume() Volume {
	return Volume{Label: "config-2", System: "LINUX", Publisher: "Imprint 1.0", Preparer: "p", Application: "IMPRINT", Created: created}
}

// text is a file with a content.
func text(path, content string) File {
	return File{Path: path, Size: int64(len(content)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(content)), nil
	}}
}

// sample has what is hard to carry: depth, long names, names that become the
// same, empty files and directories, a directory of many sectors.
func sample() Image {
	owned := text("openstack/latest/owned", "mine")
	owned.Mode, owned.UID, owned.GID = fs.ModeSetuid|0o750, 1000, 65534
	owned.ModTime = time.Date(1999, 12, 31, 23, 59, 58, 0, time.UTC)
	files := []File{
		owned,
		text("openstack/latest/meta_data.json", `{"uuid": "x"}`),
		text("openstack/latest/meta-data.json", "collides"),
		text("openstack/latest/META_DATA.JSON", "collides too"),
		text("openstack/content/0000", strings.Repeat("0123456789abcdef", 1000)),
		text("openstack/content/0001", strings.Repeat("x", sector)),
		text("openstack/content/0002", ""),
		text("ec2/2009-04-04/user-data", "#!/bin/sh\n"),
		text(".hidden", "."), text("two.dots.gz", ".."), text("trailing dot.", "..."),
		text("names/žluťoučký kůň", "ž"), text("names/"+strings.Repeat("n", 103), "long"),
		text("names/"+strings.Repeat("n", 102)+"m", "longer"), text("names/"+strings.Repeat("ž", 103), "wide"),
		text("names/🐎", "pair"),
		text("1/2/3/4/5/6/7/8/9/10/11/12/deep", "deep"),
		{Path: "empty", Mode: fs.ModeDir | fs.ModeSticky | 0o777, UID: 7},
	}
	for i := range 300 {
		files = append(files, text(fmt.Sprintf("many/%s-%03d", strings.Repeat("m", i/4), i), fmt.Sprint(i)))
	}
	return Image{Volume: volume(), Files: files}
}

// build writes an image into memory.
func build(t testing.TB, i Image) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := i.WriteTo(&b)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := i.Plan(); err != nil || p.Size() != n || n != int64(b.Len()) {
		t.Fatalf("WriteTo = %d, Plan %v, %v; %d bytes were written", n, p, err, b.Len())
	}
	return b.Bytes()
}

func reopen(t testing.TB, b []byte, trees ...Tree) *FS {
	t.Helper()
	if trees == nil {
		trees = []Tree{RockRidge, Joliet, Plain}
	}
	f, err := open(bytes.NewReader(b), int64(len(b)), trees...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// fact is what a reader says of one file.
type fact struct {
	Mode     fs.FileMode
	UID, GID uint32
	ModTime  time.Time
	Content  string
}

// facts reads all of a volume.
func facts(t testing.TB, f fs.FS) map[string]fact {
	t.Helper()
	found := map[string]fact{}
	err := fs.WalkDir(f, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		i, err := d.Info()
		if err != nil {
			return err
		}
		x := fact{Mode: i.Mode(), ModTime: i.ModTime().UTC()}
		if a, ok := i.Sys().(Attributes); ok {
			x.UID, x.GID = a.UID, a.GID
		}
		switch i.Mode().Type() {
		case 0:
			b, err := fs.ReadFile(f, name)
			if err != nil {
				return err
			}
			x.Content = string(b)
		case fs.ModeSymlink:
			if x.Content, err = fs.ReadLink(f, name); err != nil {
				return err
			}
		}
		found[name] = x
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// expected is what all readers should say of an image.
func expected(t testing.TB, i Image) map[string]fact {
	t.Helper()
	date := func(at time.Time) time.Time { return at.Truncate(time.Second).UTC() }
	found := map[string]fact{".": {Mode: fs.ModeDir | 0o555, ModTime: date(i.Created)}}
	for _, f := range i.Files {
		for at, c := range f.Path {
			if c == '/' && found[f.Path[:at]].Mode == 0 {
				found[f.Path[:at]] = found["."]
			}
		}
	}
	for _, f := range i.Files {
		x := fact{Mode: f.Mode, UID: f.UID, GID: f.GID, ModTime: date(f.ModTime)}
		if f.ModTime.IsZero() {
			x.ModTime = date(i.Created)
		}
		if f.Mode.Perm() == 0 {
			x.Mode |= 0o444
			if f.Mode.IsDir() {
				x.Mode |= 0o111
			}
		}
		if f.Size > 0 {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			x.Content = string(b)
		}
		found[f.Path] = x
	}
	return found
}

// bare leaves of facts what a tree without Rock Ridge knows.
func bare(all map[string]fact) map[string]fact {
	all = maps.Clone(all)
	for name, x := range all {
		x.UID, x.GID, x.Mode = 0, 0, 0o444|x.Mode&fs.ModeDir
		if x.Mode.IsDir() {
			x.Mode |= 0o111
		}
		all[name] = x
	}
	return all
}

func names(all map[string]fact) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(n string) bool { return n == "." })
}
