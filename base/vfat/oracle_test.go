package vfat

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tool runs a peer and gives what it prints. A peer that is not there skips
// the test; in continuous integration it fails it.
func tool(t testing.TB, name string, args ...string) string {
	t.Helper()
	need(t, name)
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin", "MTOOLSRC=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func need(t testing.TB, name string) {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		if _, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing", name)
	}
	t.Skipf("%s is missing", name)
}

// oracleFiles is sample without what no peer can put back on a disk.
func oracleFiles() []File {
	return slices.DeleteFunc(sample(), func(f File) bool { return len(f.Path) > 250 || strings.Contains(f.Path, "🙂") })
}

func TestPeersSeeTheSameVolume(t *testing.T) {
	for name, im := range volumes() {
		t.Run(name, func(t *testing.T) {
			im.Label, im.VolumeID, im.Time, im.Files = "config-2", 0x2a0a3b51, noon, oracleFiles()
			f, _ := sparse(t, im)
			p, err := im.Plan()
			if err != nil {
				t.Fatal(err)
			}
			checkFsck(t, f.Name(), p)
			checkBlkid(t, f.Name(), p)
			checkFile(t, f.Name(), p)
			checkMtools(t, f.Name(), p)
		})
	}
}

func checkFsck(t *testing.T, path string, p *Plan) {
	t.Helper()
	out := tool(t, "fsck.vfat", "-n", "-v", path)
	want := fmt.Sprintf("%d/%d clusters", p.next-2, p.g.clusters)
	for _, complaint := range []string{"Dirty", "differ", "wrong", "Orphan", "Bad", "invalid", "Warning", "orphan", "Wrong"} {
		if strings.Contains(out, complaint) {
			t.Errorf("fsck.vfat: %s", out)
		}
	}
	if !strings.Contains(out, want) {
		t.Errorf("fsck.vfat counts otherwise than %s:\n%s", want, out)
	}
}

func checkFile(t *testing.T, path string, p *Plan) {
	t.Helper()
	out := tool(t, "file", "-b", path)
	for _, want := range []string{`label: "config-2   "`, fmt.Sprintf("FAT (%d bit)", int(p.Type())), "serial number 0x2a0a3b51"} {
		if !strings.Contains(out, want) {
			t.Errorf("file: no %q in\n%s", want, out)
		}
	}
}

func checkBlkid(t *testing.T, path string, p *Plan) {
	t.Helper()
	out := tool(t, "blkid", "-p", "-o", "export", path)
	for _, want := range []string{
		"LABEL_FATBOOT=config-2\n", "LABEL=config-2\n", "UUID=2A0A-3B51\n", "VERSION=" + p.Type().String() + "\n",
		"BLOCK_SIZE=512\n", "TYPE=vfat\n", "USAGE=filesystem\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("blkid: no %q in\n%s", want, out)
		}
	}
}

func checkMtools(t *testing.T, path string, p *Plan) {
	t.Helper()
	out := tool(t, "minfo", "-i", path, "::")
	for _, want := range []string{
		`disk label="config-2   "`, "serial number: 2A0A3B51", fmt.Sprintf(`disk type="%-8v"`, p.Type()),
		fmt.Sprintf("cluster size: %d sectors\n", p.ClusterSize()/sectorSize), "sector size: 512 bytes",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("minfo: no %q in\n%s", want, out)
		}
	}
	if out := tool(t, "mdir", "-i", path, "::"); !strings.Contains(out, "Volume in drive : is config-2   \n") ||
		!strings.Contains(out, "README   TXT        10 2026-11-21  12:34") {
		t.Errorf("mdir: %s", out)
	}
	dir := t.TempDir()
	tool(t, "mcopy", "-i", path, "-s", "-n", "-m", "::*", dir)
	if diff := cmp.Diff(wanted(t, p.image.Files), contents(t, os.DirFS(dir))); diff != "" {
		t.Errorf("mcopy (-want +got):\n%s", diff)
	}
}

func Test7zSeesTheSameTree(t *testing.T) {
	for typ, im := range types() {
		im.Files = sample()
		f, _ := sparse(t, im)
		dir := t.TempDir()
		tool(t, "7z", "x", "-bd", "-y", "-o"+dir, f.Name())
		if diff := cmp.Diff(wanted(t, im.Files), contents(t, os.DirFS(dir))); diff != "" {
			t.Errorf("%v (-want +got):\n%s", typ, diff)
		}
	}
}

// Nova's drive is what mkfs.vfat makes of 64 MiB (nova 26.2.2: privsep/fs.py,
// mkfs -t vfat -n config-2): the same boot sector but for the code in it, and
// the same tables and label.
func TestEmptyDriveIsAsMkfsMakesIt(t *testing.T) {
	for typ, args := range map[Type][]string{FAT16: nil, FAT32: {"-F", "32"}} {
		path := filepath.Join(t.TempDir(), "mkfs")
		mkfs(t, path, NovaSize, append(args, "-n", "config-2", "-i", "2a0a3b51")...)
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		v := open(t, want)
		got := build(t, Image{Type: typ, Size: NovaSize, Label: "config-2", VolumeID: 0x2a0a3b51, Time: noon})
		if v.g != open(t, got).g {
			t.Errorf("%v: %+v, mkfs.vfat has %+v", typ, open(t, got).g, v.g)
		}
		root := v.g.rootOff
		if typ == FAT32 {
			root = v.g.clusterOff(2)
		}
		ignore := func(b []byte) {
			for _, boot := range []int{0, 6 * sectorSize}[:typ/FAT16] {
				code := boot + int(b[1]) + 2
				clear(b[code : boot+510])
			}
			clear(b[root+13 : root+26]) // times of the label
			if typ == FAT32 {
				clear(b[v.g.fatOff+8 : v.g.fatOff+12]) // 0x0ffffff8 also ends a chain
				clear(b[v.g.fatOff+v.g.fatLen+8 : v.g.fatOff+v.g.fatLen+12])
				clear(b[fsInfoSector*sectorSize+492:][:4]) // last or next cluster
				clear(b[7*sectorSize+492:][:4])
			}
		}
		ignore(want)
		ignore(got)
		for i := range want {
			if want[i] != got[i] {
				t.Fatalf("%v: byte %d is %#x, mkfs.vfat has %#x", typ, i, got[i], want[i])
			}
		}
	}
}

func mkfs(t testing.TB, path string, size int64, args ...string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	tool(t, "mkfs.vfat", append(args, path)...)
}

func TestReadsWhatMkfsAndMcopyWrite(t *testing.T) {
	source := t.TempDir()
	files := append(oracleFiles(), text("Mixed.Case", "kept"), text("UPPER", "short"), text("Upper.low", "flags"))
	for path, content := range wanted(t, files) {
		at := filepath.Join(source, filepath.FromSlash(path))
		if content == "/" || strings.HasSuffix(path, "empty dir") {
			if err := os.MkdirAll(at, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		size int64
		args []string
		typ  Type
	}{
		"nova":             {NovaSize, nil, FAT16},
		"FAT12":            {2 << 20, []string{"-F", "12"}, FAT12},
		"FAT12 floppy":     {1474560, []string{"-F", "12", "-s", "1"}, FAT12},
		"FAT12 one table":  {1 << 20, []string{"-F", "12", "-f", "1", "-s", "1"}, FAT12},
		"FAT16":            {20 << 20, []string{"-F", "16", "-s", "1"}, FAT16},
		"FAT32":            {NovaSize, []string{"-F", "32"}, FAT32},
		"FAT32 by size":    {600 << 20, nil, FAT32},
		"sectors of 2048":  {NovaSize, []string{"-S", "2048"}, FAT16},
		"sectors of 4096":  {300 << 20, []string{"-F", "32", "-S", "4096", "-s", "1"}, FAT32},
		"large clusters":   {1 << 30, []string{"-F", "16", "-s", "64"}, FAT16},
		"not aligned":      {NovaSize, []string{"-a"}, FAT16},
		"many in the root": {NovaSize, []string{"-r", "2000"}, FAT16},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "volume")
			mkfs(t, path, c.size, append(c.args, "-n", "config-2")...)
			entries, err := os.ReadDir(source)
			if err != nil {
				t.Fatal(err)
			}
			args := []string{"-i", path, "-s", "-m"}
			for _, e := range entries {
				args = append(args, filepath.Join(source, e.Name()))
			}
			tool(t, "mcopy", append(args, "::")...)
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			v, err := Open(f, c.size)
			if err != nil {
				t.Fatal(err)
			}
			if v.Type() != c.typ || v.Label() != "config-2" {
				t.Errorf("%v, %q", v.Type(), v.Label())
			}
			if diff := cmp.Diff(wanted(t, files), contents(t, v)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// FAT32 with fewer clusters than the type asks is what mkfs.vfat makes when
// told to, and what Linux takes; mtools does not.
func TestReadsSmallFAT32(t *testing.T) {
	path := filepath.Join(t.TempDir(), "volume")
	mkfs(t, path, 1<<20, "-F", "32", "-n", "config-2")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v := open(t, b)
	if got := contents(t, v); v.Type() != FAT32 || v.Label() != "config-2" || len(got) != 0 {
		t.Errorf("%v, %q, %v", v.Type(), v.Label(), got)
	}
}

// What was deleted, renamed and written in pieces.
func TestReadsAfterChanges(t *testing.T) {
	dir := t.TempDir()
	path, part := filepath.Join(dir, "volume"), filepath.Join(dir, "part")
	mkfs(t, path, NovaSize, "-n", "CIDATA")
	if err := os.WriteFile(part, bytes.Repeat([]byte("0123456789"), 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		tool(t, "mcopy", "-i", path, part, fmt.Sprintf("::a long name %d.data", i))
	}
	for i := 0; i < 20; i += 2 {
		tool(t, "mdel", "-i", path, fmt.Sprintf("::a long name %d.data", i))
	}
	large := bytes.Repeat([]byte("fragmented"), 60000)
	if err := os.WriteFile(part, large, 0o600); err != nil {
		t.Fatal(err)
	}
	tool(t, "mcopy", "-i", path, part, "::Große Datei")
	tool(t, "mren", "-i", path, "::a long name 3.data", "::renamed file")
	tool(t, "mmd", "-i", path, "::New Folder")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v := open(t, b)
	got := contents(t, v)
	if v.Label() != "CIDATA" || len(got) != 12 || got["Große Datei"] != string(large) || len(got["renamed file"]) != 50000 || got["New Folder"] != "/" {
		t.Errorf("%q, %d files: %v", v.Label(), len(got), slices.Sorted(names(got)))
	}
	tool(t, "mlabel", "-i", path, "-c", "::")
	if b, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	if l := open(t, b).Label(); l != "" {
		t.Errorf("label %q after it was cleared", l)
	}
}

func names(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for n := range m {
			if !yield(n) {
				return
			}
		}
	}
}

// mdir shows the aliases that we wrote, and finds the files by them.
func TestMtoolsFindsAliases(t *testing.T) {
	f, _ := sparse(t, Image{Label: "config-2", Files: sample()})
	out := tool(t, "mdir", "-i", f.Name(), "-a", "::many")
	if n := len(regexp.MustCompile(`(?m)^CONFI?G?~\d+ +JSO +\d+ .* configuration-\d+\.json`).FindAllString(out, -1)); n != 200 {
		t.Errorf("%d aliases in\n%s", n, out)
	}
	if out := tool(t, "mtype", "-i", f.Name(), "::OPENST~1/LATEST/META_D~1.JSO"); out != `{"uuid": "x"}` {
		t.Error(out)
	}
	if b, err := fs.ReadFile(mustOpen(t, f), "OPENST~1/LATEST/META_D~1.JSO"); err != nil || string(b) != `{"uuid": "x"}` {
		t.Errorf("%q, %v", b, err)
	}
}

func mustOpen(t *testing.T, f *os.File) *FS {
	t.Helper()
	i, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	v, err := Open(f, i.Size())
	if err != nil {
		t.Fatal(err)
	}
	return v
}
