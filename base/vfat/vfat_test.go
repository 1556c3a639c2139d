package vfat

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 21, 12, 34, 56, 0, time.UTC)

// text is a file with content.
func text(path, content string) File {
	return File{Path: path, Size: int64(len(content)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(content)), nil
	}}
}

// sample has what is hard: every kind of name, empty files and directories, a
// directory of several clusters, files at the borders of clusters.
func sample() []File {
	files := []File{
		text("openstack/latest/meta_data.json", `{"uuid": "x"}`),
		text("openstack/latest/user_data", strings.Repeat("#!/bin/sh\n", 700)),
		text("openstack/content/0000", "auto lo\n"),
		text("ec2/2009-04-04/meta-data.json", "{}"),
		text("ec2/latest/empty", ""),
		text("README.TXT", "upper case"),
		text("readme.md", "lower case"),
		text("a+b;c=[d].x,y", "six more characters"),
		text("Grüße, 世界.text", "unicode"),
		text("🙂", "a surrogate pair"),
		text(strings.Repeat("n", 255), "the longest name"),
		text(strings.Repeat("m", 13), "no terminator"),
		text("2048", strings.Repeat("0123456789abcdef", 128)),
		text("2049", strings.Repeat("0123456789abcdef", 128)+"!"),
		text(".hidden.conf.d/a.b.c", "periods"),
		{Path: "empty dir/"},
	}
	for i := range 200 {
		files = append(files, text(fmt.Sprintf("many/configuration-%03d.json", i), fmt.Sprint(i)))
	}
	return files
}

// contents reads every file of a tree; a directory has the content "/".
func contents(t testing.TB, fsys fs.FS) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		if d.IsDir() {
			got[path] = "/"
			return nil
		}
		b, err := fs.ReadFile(fsys, path)
		got[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// wanted is what contents must find.
func wanted(t testing.TB, files []File) map[string]string {
	t.Helper()
	want := map[string]string{}
	for _, f := range files {
		path, isDir := strings.CutSuffix(f.Path, "/")
		for i, c := range path {
			if c == '/' {
				want[path[:i]] = "/"
			}
		}
		want[path] = "/"
		if isDir {
			continue
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		want[path] = string(b)
	}
	return want
}

// build writes the volume of im to memory.
func build(t testing.TB, im Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := im.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// open reads a volume in memory.
func open(t testing.TB, b []byte) *FS {
	t.Helper()
	v, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// volumes are the shapes that the tests go through.
func volumes() map[string]Image {
	return map[string]Image{
		"nova":            {Size: NovaSize},
		"smallest":        {},
		"FAT12 smallest":  {Type: FAT12},
		"FAT12 1.44 MB":   {Size: 1474560},
		"FAT16 smallest":  {Type: FAT16},
		"FAT16 4 MiB":     {Size: 4 << 20},
		"FAT32 smallest":  {Type: FAT32},
		"FAT32 64 MiB":    {Type: FAT32, Size: NovaSize},
		"FAT16 600 MB":    {Size: 600_000_001},
		"FAT32 in 3 GiB":  {Size: 3 << 30},
		"odd size":        {Size: 5_000_001},
		"FAT12 of 30 MiB": {Type: FAT12, Size: 30 << 20},
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	types := map[string]Type{"FAT12 smallest": FAT12, "FAT12 1.44 MB": FAT12, "FAT12 of 30 MiB": FAT12,
		"FAT32 smallest": FAT32, "FAT32 64 MiB": FAT32, "FAT32 in 3 GiB": FAT32}
	for name, im := range volumes() {
		t.Run(name, func(t *testing.T) {
			im.Label, im.VolumeID, im.Time, im.Files = "config-2", 0x2a0a3b51, noon, sample()
			f, size := sparse(t, im)
			v, err := Open(f, size)
			if err != nil {
				t.Fatal(err)
			}
			want := FAT16
			if types[name] != 0 {
				want = types[name]
			}
			if v.Type() != want || v.Label() != "config-2" || v.VolumeID() != 0x2a0a3b51 {
				t.Errorf("%v, label %q, id %#x; want %v", v.Type(), v.Label(), v.VolumeID(), want)
			}
			if im.Size != 0 && size != im.Size || v.Size() > size {
				t.Errorf("%d bytes, counted %d, want %d", size, v.Size(), im.Size)
			}
			if diff := cmp.Diff(wanted(t, im.Files), contents(t, v)); diff != "" {
				t.Errorf("contents (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTimes(t *testing.T) {
	files := []File{text("default", ""), text("own", ""), text("old", ""), text("late", ""), {Path: "d/", ModTime: noon.Add(time.Hour)}}
	files[1].ModTime = time.Date(2031, 1, 2, 3, 4, 5, 6e8, time.FixedZone("", 3600))
	files[2].ModTime = time.Unix(0, 0)
	files[3].ModTime = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	v := open(t, build(t, Image{Time: noon, Files: files}))
	for path, want := range map[string]string{
		"default": "2026-11-21T12:34:56Z", "own": "2031-01-02T02:04:04Z", "old": "1980-01-01T00:00:00Z",
		"late": "2107-12-31T23:59:58Z", "d": "2026-11-21T13:34:56Z",
	} {
		i, err := v.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := i.ModTime().Format(time.RFC3339Nano); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
