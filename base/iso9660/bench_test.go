package iso9660

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// nova is the captured drive c3, its contents in memory.
func nova(b *testing.B) Image {
	image := again(b, reopen(b, kept(b, "configdrive-c3")))
	for i, f := range image.Files {
		if f.Open == nil {
			continue
		}
		r, err := f.Open()
		if err != nil {
			b.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			b.Fatal(err)
		}
		image.Files[i].Open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	}
	return image
}

func BenchmarkWriteNovaDrive(b *testing.B) {
	image := nova(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := image.WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWriteNovaDriveToFile(b *testing.B) {
	image, name := nova(b), filepath.Join(b.TempDir(), "disk.config")
	b.ReportAllocs()
	for b.Loop() {
		f, err := os.Create(name)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := image.WriteTo(f); err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrite100MB(b *testing.B) {
	image := Image{Volume: volume(), Files: []File{zeros("big", 100<<20)}}
	b.SetBytes(100 << 20)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := image.WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenNovaDrive(b *testing.B) {
	volume := kept(b, "configdrive-c3")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Open(bytes.NewReader(volume), int64(len(volume))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadNovaDrive(b *testing.B) {
	f := reopen(b, kept(b, "configdrive-c3"))
	b.ReportAllocs()
	for b.Loop() {
		err := fs.WalkDir(f, ".", func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				_, err = fs.ReadFile(f, name)
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
