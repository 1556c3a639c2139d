package configdrive

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/base/iso9660"
	"imprint/base/openstack"
	"imprint/base/vfat"
)

// zeros is a source of bytes that are all the same.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

var created = time.Date(2026, 11, 21, 3, 40, 16, 0, time.UTC)

func example() *openstack.Instance {
	return &openstack.Instance{
		UUID: "ac4d5b9f-3064-43fd-b44c-78c3b4440892", Name: "c3", Hostname: "c3.novalocal", UserData: []byte("#cloud-config\n{}\n"),
		Files: []openstack.InjectedFile{{Path: "/etc/one.conf", Content: []byte("file one\n")}, {Path: "/root/empty"}},
	}
}

// open reads a drive back.
func open(t *testing.T, format Format, name string) fs.FS {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	var read fs.FS
	if format == VFAT {
		read, err = vfat.Open(f, st.Size())
	} else {
		read, err = iso9660.Open(f, st.Size())
	}
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func contents(t *testing.T, fsys fs.FS) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(fsys, path)
		all[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestDriveReadBack(t *testing.T) {
	files, err := example().Drive(zeros{}, openstack.DriveSkips())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, f := range files {
		want[f.Path] = string(f.Body)
	}
	for _, format := range []Format{"", ISO9660, VFAT} {
		t.Run("format "+string(format), func(t *testing.T) {
			v := Volume{Format: format, Publisher: "Imprint 1.0", Created: created, Random: zeros{}}
			var made [2][]byte
			for n := range made {
				name := filepath.Join(t.TempDir(), "disk.config")
				if err := v.WriteFile(name, example()); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, contents(t, open(t, format, name))); diff != "" {
					t.Errorf("-documents +drive\n%s", diff)
				}
				if st, err := os.Stat(name); err != nil || st.Mode() != 0o400 {
					t.Errorf("mode %v, %v; want 0400", st.Mode(), err)
				}
				if made[n], err = os.ReadFile(name); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(made[0], made[1]) {
				t.Error("the same documents gave different volumes")
			}
		})
	}
}

func TestVolumeFactsAsOfNova(t *testing.T) {
	dir := t.TempDir()
	iso, fat := filepath.Join(dir, "iso"), filepath.Join(dir, "fat")
	for name, v := range map[string]Volume{iso: {Publisher: "Imprint 1.0", Created: created}, fat: {Format: VFAT, Created: created}} {
		if err := v.WriteFile(name, example()); err != nil {
			t.Fatal(err)
		}
	}
	read := open(t, ISO9660, iso).(*iso9660.FS)
	want := iso9660.Volume{Label: "config-2", System: "LINUX", Publisher: "Imprint 1.0", Created: created}
	if diff := cmp.Diff(want, read.Volume()); diff != "" {
		t.Error(diff)
	}
	for path, mode := range map[string]fs.FileMode{"openstack": fs.ModeDir | 0o555, "openstack/latest/meta_data.json": 0o444} {
		if st, err := fs.Stat(read, path); err != nil || st.Mode() != mode || !st.ModTime().Equal(created) {
			t.Errorf("%s: %v, %v; want mode %v", path, st, err, mode)
		}
	}
	st, err := os.Stat(fat)
	if err != nil {
		t.Fatal(err)
	}
	if room := st.Sys().(*syscall.Stat_t).Blocks * 512; st.Size() != 64<<20 || room > 4<<20 {
		t.Errorf("the VFAT drive has %d bytes and takes %d", st.Size(), room)
	}
	if v := open(t, VFAT, fat).(*vfat.FS); v.Label() != Label || v.Type() != vfat.FAT16 {
		t.Errorf("label %q, %v", v.Label(), v.Type())
	}
}

func TestFailedDriveLeavesWhatWas(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "disk.config")
	if err := os.WriteFile(name, []byte("as it was"), 0o400); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("no entropy")
	for what, v := range map[string]Volume{
		"no random bytes":    {Random: iotest.ErrReader(broken)},
		"a publisher to cut": {Publisher: strings.Repeat("p", 129)},
		"no such format":     {Format: "ext4"},
		"random bytes end":   {Random: io.LimitReader(zeros{}, 1000)},
	} {
		if err := v.WriteFile(name, example()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", what, err)
		}
		if b, err := os.ReadFile(name); err != nil || string(b) != "as it was" {
			t.Errorf("%s: the drive is %q, %v", what, b, err)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("%s: left %v, %v", what, entries, err)
		}
	}
	if err := os.WriteFile(name+".new", []byte("half"), 0o400); err != nil {
		t.Fatal(err)
	}
	if err := (Volume{}).WriteFile(name, example()); err != nil {
		t.Fatal(err)
	}
	if len(contents(t, open(t, ISO9660, name))) == 0 {
		t.Error("the drive is empty")
	}
}

func TestParseFormat(t *testing.T) {
	for text, want := range map[string]bool{"iso9660": true, "vfat": true, "": false, "ISO9660": false, "ext4": false} {
		if f, err := ParseFormat(text); (err == nil) != want || want && string(f) != text {
			t.Errorf("%q: %q, %v", text, f, err)
		}
	}
}
