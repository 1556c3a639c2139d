package vfat

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// drive has the size and the number of documents of a config drive.
func drive() Image {
	im := Image{Label: "config-2", Size: NovaSize, Time: noon}
	for i := range 12 {
		for _, doc := range []string{"meta_data.json", "network_data.json", "vendor_data.json", "vendor_data2.json", "user_data"} {
			im.Files = append(im.Files, text(fmt.Sprintf("openstack/20%02d-10-14/%s", 10+i, doc), strings.Repeat("x", 1500)))
		}
	}
	return im
}

func BenchmarkWriteSparse(b *testing.B) {
	im, path := drive(), filepath.Join(b.TempDir(), "disk.config")
	b.ReportAllocs()
	for b.Loop() {
		f, err := os.Create(path)
		if err != nil {
			b.Fatal(err)
		}
		if err := im.WriteSparse(f); err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPlan(b *testing.B) {
	im := drive()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := im.Plan(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWriteTo(b *testing.B) {
	im := drive()
	b.ReportAllocs()
	b.SetBytes(NovaSize)
	for b.Loop() {
		if _, err := im.WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWriteLargeFile(b *testing.B) {
	im := hundred()
	b.ReportAllocs()
	b.SetBytes(im.Files[0].Size)
	for b.Loop() {
		if _, err := im.WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	f, size := sparse(b, drive())
	b.ReportAllocs()
	for b.Loop() {
		v, err := Open(f, size)
		if err != nil {
			b.Fatal(err)
		}
		err = fs.WalkDir(v, ".", func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				_, err = fs.ReadFile(v, path)
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
