package configdrive

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"imprint/base/openstack"
	"imprint/base/vfat"
)

// written is a drive in memory, opened.
func written(t testing.TB, m *Image) *Drive {
	t.Helper()
	var b bytes.Buffer
	if n, err := m.WriteTo(&b); err != nil || n != m.Size() {
		t.Fatal(n, m.Size(), err)
	}
	d, err := Open(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// made is a drive of a tree, opened.
func made(t testing.TB, v Volume, files fstest.MapFS) *Drive {
	t.Helper()
	m, err := v.Tree(files)
	if err != nil {
		t.Fatal(err)
	}
	return written(t, m)
}

func text(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }

func TestTreeReadBack(t *testing.T) {
	files := fstest.MapFS{"user-data": text("#cloud-config\n"), "meta-data": text("instance-id: i-1\n"), "deep/Mixed Case/empty": text("")}
	for name, v := range map[string]Volume{
		"iso9660":       {Label: NoCloud, Created: created},
		"vfat":          {Format: VFAT, Label: NoCloud, Created: created},
		"FAT32":         {Format: VFAT, FAT32: true, Label: "CIDATA", ID: 0x2a0a3b51},
		"another label": {Label: "something"},
	} {
		d := made(t, v, files)
		want := map[string]string{}
		for path, f := range files {
			want[path] = string(f.Data)
		}
		if diff := cmp.Diff(want, contents(t, d)); diff != "" || d.Label != v.Label {
			t.Errorf("%s: %q, %s", name, d.Label, diff)
		}
		if fat, ok := d.FS.(*vfat.FS); ok && (v.FAT32 != (fat.Type() == vfat.FAT32) || v.ID != 0 && v.ID != fat.VolumeID()) {
			t.Errorf("%s: %v", name, d.Facts())
		}
		if wrong := d.Verify(); (len(wrong) == 0) != Known(v.Label) {
			t.Errorf("%s: %v", name, wrong)
		}
	}
}

// What 64 MiB do not hold makes a larger volume.
func TestTreeLargerThanNovas(t *testing.T) {
	files := fstest.MapFS{"openstack/latest/meta_data.json": text(`{"uuid": "u"}`), "large": {Data: make([]byte, 80*mib)}}
	for _, fat32 := range []bool{false, true} {
		d := made(t, Volume{Format: VFAT, FAT32: fat32}, files)
		if fat := d.FS.(*vfat.FS); d.Size < 80*mib || d.Size > 82*mib || (fat.Type() == vfat.FAT32) != fat32 {
			t.Errorf("%v of %d bytes", fat.Type(), d.Size)
		}
	}
}

func TestTreesThatNoFormatCarries(t *testing.T) {
	for name, tt := range map[string]struct {
		files fstest.MapFS
		want  string
	}{
		"a link":        {fstest.MapFS{"a": text(""), "l": {Mode: os.ModeSymlink, Data: []byte("/etc/passwd")}}, "l is neither"},
		"nothing":       {fstest.MapFS{}, "no files"},
		"a name":        {fstest.MapFS{"a:b": text("")}, "a:b"},
		"a long name":   {fstest.MapFS{strings.Repeat("n", 300): text("")}, strings.Repeat("n", 300)},
		"control bytes": {fstest.MapFS{"a\nb": text("")}, `character '\n'`},
	} {
		for _, format := range []Format{ISO9660, VFAT} {
			if _, err := (Volume{Format: format}).Tree(tt.files); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s, %s: %v", format, name, err)
			}
		}
	}
	if _, err := (Volume{Label: "a label of more", Format: VFAT}).Tree(fstest.MapFS{"a": text("")}); err == nil {
		t.Error("a label of 15 characters on FAT")
	}
	for _, label := range []string{NoCloud, "other"} { // no place for its files; for nobody
		if _, err := (Volume{Label: label}).Instance(example()); err == nil || !strings.Contains(err.Error(), label) {
			t.Errorf("%s: %v", label, err)
		}
	}
	for _, size := range []int64{1 << 32, 1 << 42} {
		_, err := Volume{Format: VFAT}.Tree(huge{fstest.MapFS{"large": text("")}, size})
		if err == nil || !strings.Contains(err.Error(), "large") || !strings.Contains(err.Error(), fmt.Sprint(size)) {
			t.Errorf("a file of %d bytes: %v", size, err)
		}
	}
}

// huge is a tree whose files say that they have so many bytes.
type huge struct {
	fstest.MapFS
	size int64
}

func (h huge) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := h.MapFS.ReadDir(name)
	for n, e := range entries {
		entries[n] = hugeEntry{e, h.size}
	}
	return entries, err
}

type hugeEntry struct {
	fs.DirEntry
	size int64
}

func (e hugeEntry) Info() (fs.FileInfo, error) {
	i, err := e.DirEntry.Info()
	return hugeInfo{i, e.size}, err
}

type hugeInfo struct {
	fs.FileInfo
	size int64
}

func (i hugeInfo) Size() int64 { return i.size }

// shrinks is a file that is shorter than it says.
type shrinks struct{ fstest.MapFS }

func (s shrinks) ReadFile(string) ([]byte, error) { return nil, errors.New("not asked for") }

func TestFileThatChangesMeanwhile(t *testing.T) {
	for _, format := range []Format{ISO9660, VFAT} {
		files := fstest.MapFS{"user-data": text("#!"), "meta-data": text("x")}
		m, err := Volume{Format: format}.Tree(shrinks{files})
		if err != nil {
			t.Fatal(err)
		}
		files["user-data"] = text("#!/bin/sh")
		dir := t.TempDir()
		if err := m.WriteFile(filepath.Join(dir, "disk.config")); err == nil || !strings.Contains(err.Error(), "user-data") {
			t.Errorf("%s: %v", format, err)
		}
		if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
			t.Errorf("%s: left %v, %v", format, left, err)
		}
	}
}

func TestVerifyFinds(t *testing.T) {
	const latest, old = "openstack/latest/meta_data.json", "openstack/2012-08-10/meta_data.json"
	good := func() fstest.MapFS {
		return fstest.MapFS{
			latest: text(`{"uuid": "u", "files": [{"path": "/etc/a", "content_path": "/content/0000"}]}`), old: text(`{"uuid": "u"}`),
			"openstack/content/0000": text("a"), "openstack/latest/network_data.json": text(`{"links": [], "networks": [], "services": []}`),
			"openstack/latest/vendor_data.json": text(`{"cloud-init": "#cloud-config"}`), "ec2/latest/meta-data.json": text("{}"),
		}
	}
	for name, tt := range map[string]struct {
		path, body string // "-" removes
		want       string
	}{
		"nothing":         {"user", "x", ""},
		"missing":         {latest, "-", latest + ": it is missing"},
		"not JSON":        {latest, "{", latest},
		"another uuid":    {old, `{"uuid": "v"}`, old + `: its uuid is "v"`},
		"no uuid":         {old, `{}`, old},
		"content missing": {"openstack/content/0000", "-", "it names /content/0000"},
		"network data":    {"openstack/latest/network_data.json", "[", "network_data.json"},
		"vendor data":     {"openstack/latest/vendor_data.json", "{{", "vendor_data.json"},
		"EC2":             {"ec2/latest/meta-data.json", "x", "not JSON"},
	} {
		files := good()
		files[tt.path] = text(tt.body)
		if tt.body == "-" {
			delete(files, tt.path)
		}
		for _, format := range []Format{ISO9660, VFAT} {
			wrong := made(t, Volume{Format: format}, files).Verify()
			if tt.want == "" && len(wrong) > 0 || tt.want != "" && (len(wrong) != 1 || !strings.Contains(wrong[0].Error(), tt.want)) {
				t.Errorf("%s, %s: %v", name, format, wrong)
			}
		}
	}
	wrong := made(t, Volume{Label: NoCloud}, fstest.MapFS{"meta-data": text("{}")}).Verify()
	if got := fmt.Sprint(wrong); len(wrong) != 2 || !strings.Contains(got, "instance-id") || !strings.Contains(got, "user-data: it is missing") {
		t.Error(got)
	}
}

// A volume whose content is cut off is found out by reading it.
func TestVerifyReadsEverything(t *testing.T) {
	m, err := Volume{}.Tree(fstest.MapFS{"openstack/latest/meta_data.json": text(`{"uuid": "u"}`), "z": {Data: make([]byte, mib)}})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := m.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	size := b.Len() - mib
	d, err := Open(bytes.NewReader(b.Bytes()[:size]), int64(size))
	if err != nil {
		return // it is found out sooner
	}
	if wrong := d.Verify(); len(wrong) == 0 {
		t.Error("nothing is wrong with half a volume")
	}
}

func TestOpenNoDrive(t *testing.T) {
	for name, b := range map[string][]byte{"nothing": nil, "zeros": make([]byte, mib), "text": bytes.Repeat([]byte("text "), 10000)} {
		if d, err := Open(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrNoDrive) {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
}

func TestDiff(t *testing.T) {
	seed := func(c string) string {
		return `{"random_seed": "` + strings.Repeat(c, 683) + `=", "uuid": "u"}`
	}
	list := func(seedless bool, files fstest.MapFS) []Entry {
		all, err := List(made(t, Volume{}, files), true, seedless, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	a := fstest.MapFS{"same": text("1"), "seed": text(seed("a")), "content": text("1"), "size": text("1"), "gone": text(""), "kind": text("")}
	b := fstest.MapFS{"same": text("1"), "seed": text(seed("b")), "content": text("2"), "size": text("12"), "new": text(""), "kind/x": text("")}
	want := []string{"content: other content", "gone: only in the first", "kind: mode -r--r--r--, then dr-xr-xr-x", "kind/x: only in the second",
		"new: only in the second", "seed: other content", "size: 1 bytes, then 2"}
	for _, seedless := range []bool{false, true} {
		var got []string
		for _, d := range Diff(list(seedless, a), list(seedless, b)) {
			got = append(got, d.Path+": "+d.What)
		}
		if seedless {
			want = slices.DeleteFunc(want, func(s string) bool { return strings.HasPrefix(s, "seed") })
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := List(made(t, Volume{}, a), true, false, 10); err == nil {
		t.Error("more was read than the limit")
	}
}

// All that the API lets an instance be given fits a drive of Nova's size: 65535
// characters of user data in base64, five files of 10 KiB.
func TestAsMuchAsTheAPITakes(t *testing.T) {
	i := example()
	i.UserData = bytes.Repeat([]byte{0xff}, 65535/4*3)
	i.Files = nil
	for n := range 5 {
		i.Files = append(i.Files, openstack.InjectedFile{Path: "/" + strings.Repeat("p", 254), Content: bytes.Repeat([]byte{byte(n)}, 10<<10)})
	}
	for _, format := range []Format{ISO9660, VFAT} {
		m, err := Volume{Format: format}.Instance(i)
		if err != nil || m.Size() > 64*mib {
			t.Fatal(m, err)
		}
		d := written(t, m)
		if wrong := d.Verify(); len(wrong) > 0 {
			t.Errorf("%s: %v", format, wrong)
		}
		got := contents(t, d)
		if got["openstack/latest/user_data"] != string(i.UserData) || got["openstack/content/0004"] != string(i.Files[4].Content) {
			t.Errorf("%s: the drive has something else", format)
		}
	}
}
