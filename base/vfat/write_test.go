package vfat

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
)

// sparse writes im to a file with holes.
func sparse(t testing.TB, im Image) (f *os.File, size int64) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "disk.config"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	// What was there before must not shine through.
	if _, err := f.Write(bytes.Repeat([]byte{0xff}, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := im.WriteSparse(f); err != nil {
		t.Fatal(err)
	}
	i, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return f, i.Size()
}

func TestBothWaysGiveTheSameBytesEveryTime(t *testing.T) {
	for name, im := range volumes() {
		if im.Size > 100<<20 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			im.Label, im.Time, im.Files = "config-2", noon, sample()
			want := build(t, im)
			f, _ := sparse(t, im)
			slices.Reverse(im.Files)
			again := build(t, im)
			got, err := os.ReadFile(f.Name())
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Error("WriteSparse and WriteTo differ")
			}
			if !bytes.Equal(again, want) {
				t.Error("the order of the files changes the volume")
			}
		})
	}
}

func TestUnusedPartsAreHoles(t *testing.T) {
	for _, typ := range []Type{FAT16, FAT32} {
		f, size := sparse(t, Image{Type: typ, Size: NovaSize, Label: "config-2", Time: noon, Files: sample()[:8]})
		var s syscall.Stat_t
		if err := syscall.Fstat(int(f.Fd()), &s); err != nil {
			t.Fatal(err)
		}
		if size != NovaSize || s.Blocks*512 > 256<<10 {
			t.Errorf("%v: %d bytes take %d on disk", typ, size, s.Blocks*512)
		}
	}
}

func TestAliases(t *testing.T) {
	var names []string
	want := map[string]string{
		"meta_data.json": "META_D~1.JSO", "meta-data.json": "META-D~1.JSO", "latest": "LATEST", "0000": "0000",
		"2009-04-04": "2009-0~1", "UPPER.TXT": "UPPER.TXT", "lower.txt": "LOWER.TXT", "a.b.c": "A~1.C",
		".profile": "PROFIL~1", "with space": "WITHSP~1", "x+y": "X_Y~1", "ü": "_~1", "ſ": "_~2",
		// Taken by the next two names, in whatever case.
		"letters.document": "LETTER~3.DOC", "letter~1.doc": "LETTER~1.DOC", "Letter~2.Doc": "LETTER~2.DOC",
	}
	for n := range want {
		names = append(names, n)
	}
	for i := range 12 {
		n := fmt.Sprintf("collision%02d.conf", i)
		names = append(names, n)
		want[n] = fmt.Sprintf("COLLIS~%d.CON", i+1)
		if i >= 9 {
			want[n] = fmt.Sprintf("COLLI~%d.CON", i+1)
		}
	}
	var files []File
	for _, n := range names {
		files = append(files, text(n, ""))
	}
	v := open(t, build(t, Image{Files: files}))
	for _, e := range v.dirs[0] {
		if got := e.short.String(); got != want[e.name] {
			t.Errorf("%s: %s, want %s", e.name, got, want[e.name])
		}
		delete(want, e.name)
	}
	if len(want) != 0 {
		t.Errorf("not there: %v", want)
	}
}

func TestManyAlikeNames(t *testing.T) {
	const count = 20000
	var files []File
	for i := range count {
		files = append(files, text(fmt.Sprintf("d/%05x-configuration.json", i), ""))
	}
	v := open(t, build(t, Image{Files: files}))
	entries, err := v.ReadDir("d")
	if err != nil || len(entries) != count {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	aliases := map[shortName]bool{}
	for _, e := range entries {
		aliases[e.(info).e.short] = true
	}
	if len(aliases) != count {
		t.Errorf("%d different aliases", len(aliases))
	}
}

func TestNothingIsWrittenOfWhatFATCannotCarry(t *testing.T) {
	big := func(path string, size int64) File {
		return File{Path: path, Size: size, Open: func() (io.ReadCloser, error) { return nil, errors.New("opened") }}
	}
	many := make([]File, maxDirEntries)
	for i := range many {
		many[i] = text(fmt.Sprintf("dir/%X", i), "")
	}
	for _, c := range []struct {
		name   string
		im     Image
		tooBig bool
		says   string
	}{
		{"character", Image{Files: []File{text("dir/a:b", "")}}, false, `dir/a:b: FAT cannot carry the character ':'`},
		{"control", Image{Files: []File{text("a\nb", "")}}, false, `the character '\n'`},
		{"in a directory's name", Image{Files: []File{text("a?/b", "")}}, false, `a?/b: FAT cannot carry the character '?'`},
		{"period at the end", Image{Files: []File{text("dir./b", "")}}, false, `"dir."`},
		{"space at the end", Image{Files: []File{text("a ", "")}}, false, `"a "`},
		{"space in front", Image{Files: []File{text(" a", "")}}, false, `" a"`},
		{"not UTF-8", Image{Files: []File{text("a\xff", "")}}, false, "not a path"},
		{"long name", Image{Files: []File{text(strings.Repeat("🙂", 128), "")}}, false, "256 UTF-16 units"},
		{"escape", Image{Files: []File{text("../etc/passwd", "")}}, false, "../etc/passwd: not a path inside"},
		{"absolute", Image{Files: []File{text("/etc/passwd", "")}}, false, "/etc/passwd: not a path inside"},
		{"root", Image{Files: []File{{Path: "."}}}, false, "not a path inside"},
		{"no name", Image{Files: []File{{Path: "/"}}}, false, "not a path inside"},
		{"deep", Image{Files: []File{text(strings.Repeat("d/", maxDepth)+"f", "")}}, false, "names deep"},
		{"same name", Image{Files: []File{text("d/User", ""), text("d/user", "")}}, false, "d/user: the name user is taken by d/User"},
		{"same directory", Image{Files: []File{text("D/a", ""), text("d/b", "")}}, false, "taken by D"},
		{"file and directory", Image{Files: []File{text("d", ""), text("d/b", "")}}, false, "d/b: the name d is taken"},
		{"directory and file", Image{Files: []File{text("d/b", ""), text("d", "")}}, false, "d: the name d is taken"},
		{"file of 4 GiB", Image{Files: []File{big("disk", 4<<30)}}, true, "disk: too big"},
		{"negative", Image{Files: []File{big("f", -1)}}, false, "-1 bytes"},
		{"no opener", Image{Files: []File{{Path: "f", Size: 1}}}, false, "f: 1 bytes without an opener"},
		{"full directory", Image{Files: many}, true, "dir: too big: 65538 directory entries"},
		{"full volume", Image{Size: NovaSize, Files: []File{big("f", NovaSize)}}, true, "bytes or more, not 67108864"},
		{"full FAT12", Image{Type: FAT12, Files: []File{big("f", 1<<30)}}, true, "no FAT12 volume"},
		{"small FAT32", Image{Type: FAT32, Size: 1 << 20}, true, "FAT32 volume of 34"},
		{"large FAT12", Image{Type: FAT12, Size: 1 << 30}, false, "no FAT12 volume of 1073741824 bytes"},
		{"no volume", Image{Size: 1}, true, "not 1"},
		{"negative size", Image{Size: -1}, false, "-1 bytes"},
		{"type", Image{Type: 17}, false, "type 17"},
		{"long label", Image{Label: "config-drive"}, false, `label "config-drive" has more than 11`},
		{"label", Image{Label: "a/b"}, false, `label "a/b": FAT cannot carry the character '/'`},
		{"label with a space", Image{Label: "a "}, false, `label "a "`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bytes.Buffer
			n, err := c.im.WriteTo(&b)
			if err == nil || !strings.Contains(err.Error(), c.says) || errors.Is(err, ErrTooBig) != c.tooBig {
				t.Errorf("error %v, want %q", err, c.says)
			}
			if n != 0 || b.Len() != 0 {
				t.Errorf("%d bytes were written", b.Len())
			}
		})
	}
}

func TestFileThatIsNotAsLongAsItSays(t *testing.T) {
	fail := errors.New("lost")
	for name, c := range map[string]struct {
		size int64
		r    io.Reader
		says string
	}{
		"short": {5, strings.NewReader("1234"), "d/f: content ends after 4 of 5 bytes"},
		"long":  {3, strings.NewReader("1234"), "d/f: content is longer than 3 bytes"},
		"error": {4, iotest.ErrReader(fail), "d/f: lost"},
	} {
		im := Image{Files: []File{{Path: "d/f", Size: c.size, Open: func() (io.ReadCloser, error) { return io.NopCloser(c.r), nil }}}}
		if _, err := im.WriteTo(io.Discard); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// closer counts what is open.
type closer struct {
	io.Reader
	open *int
}

func (c closer) Close() error { *c.open--; return nil }

func TestFullDiskIsAnErrorAndEveryReaderIsClosed(t *testing.T) {
	open, full := 0, errors.New("no space left on device")
	im := Image{Files: []File{{Path: "f", Size: 1 << 20, Open: func() (io.ReadCloser, error) {
		open++
		return closer{bytes.NewReader(make([]byte, 1<<20)), &open}, nil
	}}}}
	p, err := im.Plan()
	if err != nil {
		t.Fatal(err)
	}
	for limit := int64(0); limit < p.Size(); limit += 100_000 {
		n, err := im.WriteTo(&limited{limit, full})
		if !errors.Is(err, full) || n != limit || open != 0 {
			t.Fatalf("limit %d: %d bytes, %v, %d open", limit, n, err, open)
		}
	}
}

// limited takes left bytes.
type limited struct {
	left int64
	err  error
}

func (l *limited) Write(p []byte) (int, error) {
	if int64(len(p)) > l.left {
		n := l.left
		l.left = 0
		return int(n), l.err
	}
	l.left -= int64(len(p))
	return len(p), nil
}

// zeros is an endless content.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// hundred is an image with a file of 100 MB.
func hundred() Image {
	const size = 100_000_000
	return Image{Label: "config-2", Files: []File{{Path: "f", Size: size, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.LimitReader(zeros{}, size)), nil
	}}}}
}

func TestLargeFileInConstantMemory(t *testing.T) {
	im := hundred()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if n, err := im.WriteTo(io.Discard); err != nil || n < im.Files[0].Size {
		t.Fatal(n, err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 256<<10 {
		t.Errorf("%d bytes allocated", got)
	}
}
