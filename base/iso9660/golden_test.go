package iso9660

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// kept unpacks a volume of testdata.
func kept(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".iso.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// novaDrive is what other tools say of a captured drive.
type novaDrive struct {
	ISO9660 struct {
		Descriptors []struct {
			Type        string
			VolumeID    string `json:"volume_id"`
			SystemID    string `json:"system_id"`
			PublisherID string `json:"publisher_id"`
			PreparerID  string `json:"preparer_id"`
			Application string `json:"application_id"`
		} `json:"volume_descriptors"`
		Tree []struct {
			Path    string
			ISOName string `json:"iso_name"`
			Size    int64
			Mode    string
			UID     uint32
			GID     uint32
			Links   uint32 `json:"nlink"`
		} `json:"rock_ridge_tree"`
		Joliet []string `json:"joliet_names"`
	}
	Files map[string]struct {
		Text   *string
		Base64 string
		SameAs string `json:"same_as"`
	}
}

var novaDrives = []string{"configdrive-c2", "configdrive-c3"}

func facets(t testing.TB, name string) novaDrive {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var d novaDrive
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// tree is a drive's tree as isoinfo saw it.
func (d novaDrive) tree(t testing.TB) map[string]fact {
	t.Helper()
	all := map[string]fact{}
	for _, n := range d.ISO9660.Tree {
		bits, err := strconv.ParseUint(n.Mode, 0, 32)
		if err != nil {
			t.Fatal(err)
		}
		x := fact{Mode: fileMode(uint32(bits)), UID: n.UID, GID: n.GID}
		if x.Mode.IsRegular() {
			x.Content = d.content(t, n.Path)
		}
		all[path.Clean(strings.TrimPrefix(n.Path, "/"))] = x
	}
	return all
}

func (d novaDrive) content(t testing.TB, name string) string {
	t.Helper()
	f := d.Files[name]
	switch {
	case f.SameAs != "":
		return d.content(t, f.SameAs)
	case f.Text != nil:
		return *f.Text
	}
	b, err := base64.StdEncoding.DecodeString(f.Base64)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var seed = regexp.MustCompile(`("random_seed": ")[^"]{684}"`)

// undated leaves out what the facts do not say.
func undated(all map[string]fact) map[string]fact {
	for name, x := range all {
		x.ModTime = time.Time{}
		x.Content = seed.ReplaceAllString(x.Content, "${1}@RANDOM_SEED_684_CHARS@\"")
		all[name] = x
	}
	return all
}

func TestNovaDrives(t *testing.T) {
	for _, name := range novaDrives {
		t.Run(name, func(t *testing.T) {
			b, d := kept(t, name), facets(t, name)
			f := reopen(t, b)
			if d := cmp.Diff(d.tree(t), undated(facts(t, f))); d != "" || f.Tree() != RockRidge {
				t.Errorf("%s: %s", f.Tree(), d)
			}
			if err := fstest.TestFS(f, "openstack/latest/meta_data.json"); err != nil {
				t.Error(err)
			}
			p := d.ISO9660.Descriptors[0]
			want := Volume{Label: p.VolumeID, System: p.SystemID, Publisher: p.PublisherID, Preparer: p.PreparerID, Application: p.Application}
			got := f.Volume()
			if got.Created.Year() != 2026 {
				t.Error(got.Created)
			}
			got.Created = time.Time{}
			if d := cmp.Diff(want, got); d != "" || f.Label() != "config-2" {
				t.Error(d)
			}
			var joliet []string
			for name, x := range facts(t, reopen(t, b, Joliet)) {
				if x.Mode.IsDir() && name != "." {
					name += "/"
				}
				joliet = append(joliet, "/"+name)
			}
			joliet = slices.DeleteFunc(joliet, func(n string) bool { return n == "/." })
			if d := cmp.Diff(slices.Sorted(slices.Values(d.ISO9660.Joliet)), slices.Sorted(slices.Values(joliet))); d != "" {
				t.Error(d)
			}
		})
	}
}

// again is a drive's tree as an Image.
func again(t testing.TB, f *FS) Image {
	t.Helper()
	image := Image{Volume: f.Volume()}
	err := fs.WalkDir(f, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		i, err := d.Info()
		if err != nil {
			return err
		}
		a := i.Sys().(Attributes)
		file := File{Path: name, Mode: i.Mode(), UID: a.UID, GID: a.GID, ModTime: i.ModTime()}
		if i.Mode().IsRegular() {
			file.Size, file.Open = i.Size(), func() (io.ReadCloser, error) { return f.Open(name) }
		}
		image.Files = append(image.Files, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// What we write of a captured drive says the same as the drive does, down to
// the identifiers of readers without Rock Ridge, and the number of links.
func TestNovaDrivesWrittenAgain(t *testing.T) {
	for _, name := range novaDrives {
		t.Run(name, func(t *testing.T) {
			theirs, d := reopen(t, kept(t, name)), facets(t, name)
			image := again(t, theirs)
			b := build(t, image)
			ours := reopen(t, b)
			if d := cmp.Diff(facts(t, theirs), facts(t, ours)); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(theirs.Volume(), ours.Volume()); d != "" {
				t.Error(d)
			}
			l, err := image.layout()
			if err != nil {
				t.Fatal(err)
			}
			ids := map[string]string{}
			for _, dir := range l.trees[primary].dirs {
				for _, n := range dir.kids {
					ids[n.Path] = n.ids[primary]
				}
			}
			for _, n := range d.ISO9660.Tree {
				name := strings.Trim(n.Path, "/")
				if n.ISOName != ids[name] {
					t.Errorf("%s: %q, Nova has %q", n.Path, ids[name], n.ISOName)
				}
				i, err := ours.Stat(path.Clean(name))
				if err != nil {
					t.Error(err)
				} else if got := i.Sys().(Attributes).Links; got != n.Links {
					t.Errorf("%s: %d links of %d", n.Path, got, n.Links)
				}
			}
		})
	}
}

// keptTree is what is in the volumes of other writers.
func keptTree() map[string]fact {
	at := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	all := map[string]fact{
		"Mixed Case/" + strings.Repeat("n", 250) + ".json": {Mode: 0o644, Content: "l\n"},
		"a/b/c/d/e/f/g/h/i/deep":                           {Mode: 0o644, Content: "deep\n"},
		"empty":                                            {Mode: 0o644},
		"fifo":                                             {Mode: fs.ModeNamedPipe | 0o644},
		"link":                                             {Mode: fs.ModeSymlink | 0o777, Content: "a/../user-data"},
		"user-data":                                        {Mode: 0o644, Content: "#cloud-config"},
	}
	for name := range maps.Clone(all) {
		for dir := path.Dir(name); all[dir].Mode == 0; dir = path.Dir(dir) {
			all[dir] = fact{Mode: fs.ModeDir | 0o755}
		}
	}
	for name, x := range all {
		x.ModTime = at
		all[name] = x
	}
	return all
}

// Relocated directories, continued names, links; also without the tools.
func TestKeptVolumes(t *testing.T) {
	for _, name := range []string{"genisoimage", "xorriso"} {
		t.Run(name, func(t *testing.T) {
			f := reopen(t, kept(t, name))
			if d := cmp.Diff(keptTree(), facts(t, f)); d != "" || f.Tree() != RockRidge || f.Label() != "cidata" {
				t.Errorf("%s %s: %s", f.Label(), f.Tree(), d)
			}
			if b, err := fs.ReadFile(f, "link"); err != nil || string(b) != "#cloud-config" {
				t.Errorf("%q, %v", b, err)
			}
			if _, err := f.Open("fifo"); err == nil || !strings.Contains(err.Error(), "not a regular file") {
				t.Errorf("fifo: %v", err)
			}
		})
	}
	t.Run("plain", func(t *testing.T) {
		f := reopen(t, kept(t, "plain"))
		if b, err := fs.ReadFile(f, "user_data"); err != nil || string(b) != "#cloud-config" || f.Tree() != Plain || f.Label() != "CIDATA" {
			t.Errorf("%s %s: %q, %v", f.Label(), f.Tree(), b, err)
		}
		if i, err := f.Stat("mixed_case"); err != nil || i.Mode() != fs.ModeDir|0o555 {
			t.Errorf("%v, %v", i, err)
		}
	})
}

func TestLabels(t *testing.T) {
	tests := []struct{ primary, joliet, want string }{
		{"CONFIG_2", "", "CONFIG_2"},
		{"CONFIG-2", "config-2", "config-2"},
		{"A LONG LABEL OF MORE", "a long label of ", "a long label of MORE"},
		{"SOMETHING_ELSE_AND_MORE", "something-else-a", "something-else-a"},
		{"XX", "kůň", "kůň"},
	}
	for _, tt := range tests {
		d := descriptors{primary: &descriptor{b: make([]byte, sector)}}
		putASCII(d.primary.b[40:72], tt.primary)
		if tt.joliet != "" {
			d.joliet = &descriptor{b: make([]byte, sector)}
			putUCS2(d.joliet.b[40:72], tt.joliet)
		}
		if got := d.volume().Label; got != tt.want {
			t.Errorf("%q and %q: %q, want %q", tt.primary, tt.joliet, got, tt.want)
		}
	}
}

var _ io.WriterTo = Image{}

var _ interface {
	fs.ReadDirFS
	fs.StatFS
	fs.ReadLinkFS
} = (*FS)(nil)

// A volume in something larger, as a block device may be, is read the same.
func TestLargerThanTheVolume(t *testing.T) {
	b := build(t, sample())
	f := reopen(t, append(bytes.Clone(b), make([]byte, 12345)...))
	if d := cmp.Diff(expected(t, sample()), facts(t, f)); d != "" {
		t.Error(d)
	}
}
