package iso9660

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// plant makes a tree on disk for the peers to write.
func plant(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"openstack/latest/meta_data.json":   `{"uuid": "x"}`,
		"openstack/latest/user_data":        "#!/bin/sh\n",
		"openstack/content/0000":            strings.Repeat("content\n", 5000),
		"openstack/content/0001":            "",
		"a/b/c/d/e/f/g/h/i/j/k/deep":        "deep",
		"a/b/c/d/e/f/g/other":               "branch",
		"Mixed Case/žluťoučký kůň.txt":      "ž",
		"Mixed Case/" + longName:            "long",
		"Mixed Case/" + longName[:60] + "x": "long too",
	}
	for i := range 200 {
		files["many/"+strings.Repeat("m", i/10)+string(rune('a'+i%10))] = "x"
	}
	for name, content := range files {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	links := map[string]string{
		"link": "openstack/latest/user_data", "a/b/absolute": "/openstack/./content",
		"a/b/up": "../../openstack/content/../latest/user_data", "a/long": strings.Repeat("./", 60) + "b/" + strings.Repeat("../b/", 30) + "c", // genisoimage never ends with more
	}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.Type() == fs.ModeSymlink {
			return err
		}
		return os.Chtimes(name, old, old)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var longName = strings.Repeat("n", 250) + ".json"

func onDiskFacts(t *testing.T, dir string) map[string]fact {
	t.Helper()
	all := facts(t, os.DirFS(dir))
	for name, x := range all {
		x.UID, x.GID = owner(t, filepath.Join(dir, name))
		all[name] = x
	}
	return all
}

// Rock Ridge of other tools gives back everything.
func TestForeignRockRidge(t *testing.T) {
	tools := map[string][]string{
		"genisoimage":                   {"genisoimage", "-quiet", "-R", "-J", "-joliet-long"},
		"genisoimage without Joliet":    {"genisoimage", "-quiet", "-R"},
		"genisoimage hides relocations": {"genisoimage", "-quiet", "-R", "-hide-rr-moved"},
		"genisoimage relocates nothing": {"genisoimage", "-quiet", "-R", "-D"},
		"genisoimage relaxed":           {"genisoimage", "-quiet", "-R", "-U", "-l"},
		"xorriso":                       {"xorriso", "-as", "mkisofs", "-quiet", "-R", "-J"},
		"xorriso relocates":             {"xorriso", "-as", "mkisofs", "-quiet", "-R", "-rr_reloc_dir", "/rr_moved"},
		"xorriso with checksums":        {"xorriso", "-as", "mkisofs", "-quiet", "-R", "--md5", "--xattr"},
	}
	for name, tool := range tools {
		t.Run(name, func(t *testing.T) {
			dir := plant(t)
			f := write(t, tool, dir)
			want, got := onDiskFacts(t, dir), facts(t, f)
			for _, all := range []map[string]fact{want, got} {
				for name, x := range all {
					x.ModTime = x.ModTime.Truncate(time.Second)
					if x.Mode.Type() == fs.ModeSymlink || name == "." { // the planted link's time is now
						x.ModTime, x.Mode = time.Time{}, x.Mode.Type()
					}
					all[name] = x
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			if err := fstest.TestFS(f, names(want)...); err != nil {
				t.Error(err)
			}
			if f.Tree() != RockRidge || f.Label() != "config-2" {
				t.Errorf("%s %q", f.Tree(), f.Label())
			}
			for _, link := range []string{"link", "a/b/up"} {
				if b, err := fs.ReadFile(f, link); err != nil || string(b) != "#!/bin/sh\n" {
					t.Errorf("%s: %q, %v", link, b, err)
				}
			}
			if i, err := f.Stat("a/b/absolute/0000"); err != nil || i.Size() != 40000 || i.Name() != "0000" {
				t.Errorf("through an absolute link: %v, %v", i, err)
			}
		})
	}
}

// Without Rock Ridge there are no links, owners and modes.
func TestForeignJoliet(t *testing.T) {
	for name, tool := range map[string][]string{
		"genisoimage": {"genisoimage", "-quiet", "-J", "-joliet-long", "-D"},
		"xorriso":     {"xorriso", "-as", "mkisofs", "-quiet", "-J", "-joliet-long", "--norock"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := plant(t)
			for _, gone := range []string{"link", "a/b/absolute", "a/b/up", "a/long", "Mixed Case/" + longName} {
				if err := os.Remove(filepath.Join(dir, gone)); err != nil {
					t.Fatal(err)
				}
			}
			f := write(t, tool, dir)
			if f.Tree() != Joliet || f.Label() != "config-2" {
				t.Errorf("%s %q", f.Tree(), f.Label())
			}
			if d := cmp.Diff(contents(onDiskFacts(t, dir)), contents(facts(t, f))); d != "" {
				t.Error(d)
			}
		})
	}
}

// Names of eight and three characters, upper case, with versions.
func TestForeignPlain(t *testing.T) {
	for name, tool := range map[string][]string{
		"genisoimage level 1": {"genisoimage", "-quiet"},
		"genisoimage level 4": {"genisoimage", "-quiet", "-iso-level", "4"},
		"genisoimage -N -d":   {"genisoimage", "-quiet", "-l", "-N", "-d"},
		"xorriso":             {"xorriso", "-as", "mkisofs", "-quiet", "-iso-level", "3", "--norock"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			want := map[string]fact{".": {Mode: fs.ModeDir}, "openstack": {Mode: fs.ModeDir}, "openstack/latest": {Mode: fs.ModeDir}}
			if strings.HasSuffix(name, "1") {
				want = map[string]fact{".": {Mode: fs.ModeDir}, "openstac": {Mode: fs.ModeDir}, "openstac/latest": {Mode: fs.ModeDir}}
			}
			for file, content := range map[string]string{"data.txt": "{}", "user": "#!", "no": ""} {
				at := filepath.Join(dir, "openstack", "latest", file)
				if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
				for d := range maps.Keys(want) {
					if strings.HasSuffix(d, "latest") {
						want[d+"/"+file] = fact{Content: content}
						break
					}
				}
			}
			f := write(t, tool, dir)
			if d := cmp.Diff(want, contents(facts(t, f))); d != "" || f.Tree() != Plain {
				t.Errorf("%s: %s", f.Tree(), d)
			}
		})
	}
}

// A volume that boots has more descriptors and a catalogue.
func TestForeignElTorito(t *testing.T) {
	for name, tool := range map[string][]string{
		"genisoimage": {"genisoimage", "-quiet", "-R", "-J"},
		"xorriso":     {"xorriso", "-as", "mkisofs", "-quiet", "-R", "-J"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "boot.img"), make([]byte, 4*sector), 0o644); err != nil {
				t.Fatal(err)
			}
			f := write(t, append(tool, "-b", "boot.img", "-c", "boot.cat", "-no-emul-boot", "-boot-load-size", "4"), dir)
			if got := names(facts(t, f)); !cmp.Equal(got, []string{"boot.cat", "boot.img"}) {
				t.Error(got)
			}
		})
	}
}

// write lets a tool write a volume of a directory.
func write(t *testing.T, tool []string, dir string) *FS {
	t.Helper()
	iso := filepath.Join(t.TempDir(), "volume.iso")
	args := append(tool[1:len(tool):len(tool)], "-V", "config-2", "-o", iso, dir)
	run(t, tool[0], args...)
	return opened(t, iso)
}
