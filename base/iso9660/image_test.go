package iso9660

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestRoundTrip(t *testing.T) {
	image := sample()
	b := build(t, image)
	want := expected(t, image)
	for tree, want := range map[Tree]map[string]fact{RockRidge: want, Joliet: bare(want)} {
		t.Run(string(tree), func(t *testing.T) {
			f := reopen(t, b, tree)
			if d := cmp.Diff(want, facts(t, f)); d != "" {
				t.Error(d)
			}
			if err := fstest.TestFS(f, names(want)...); err != nil {
				t.Error(err)
			}
			if d := cmp.Diff(volume(), f.Volume()); d != "" || f.Tree() != tree || f.Label() != "config-2" {
				t.Errorf("%s %q: %s", f.Tree(), f.Label(), d)
			}
		})
	}
	t.Run("plain", func(t *testing.T) {
		f := reopen(t, b, Plain)
		got := facts(t, f)
		if len(got) != len(want) {
			t.Errorf("%d names of %d are left", len(got), len(want))
		}
		if err := fstest.TestFS(f, names(got)...); err != nil {
			t.Error(err)
		}
		for _, name := range []string{"openstack/latest/meta_data.json", "openstack/content/0002", "1/2/3/4/5/6/7/8/9/10/11/12/deep"} {
			if _, ok := got[name]; !ok {
				t.Errorf("%s is not there", name)
			}
		}
	})
}

func TestSameInputSameBytes(t *testing.T) {
	image := sample()
	want := build(t, image)
	if !bytes.Equal(want, build(t, image)) {
		t.Error("written twice, the volume differs")
	}
	slices.Reverse(image.Files)
	if !bytes.Equal(want, build(t, image)) {
		t.Error("listed in another order, the volume differs")
	}
}

// A volume without dates says none.
func TestNoDates(t *testing.T) {
	f := reopen(t, build(t, Image{Volume: Volume{Label: "cidata"}, Files: []File{text("meta-data", "x")}}))
	i, err := f.Stat("meta-data")
	if err != nil || !i.ModTime().IsZero() || !f.Volume().Created.IsZero() || f.Label() != "cidata" {
		t.Errorf("%v %v %v", err, i, f.Volume())
	}
}

func TestRefused(t *testing.T) {
	with := func(change func(*Image)) Image {
		i := Image{Volume: volume(), Files: []File{text("good", "x")}}
		change(&i)
		return i
	}
	file := func(f ...File) Image { return with(func(i *Image) { i.Files = append(i.Files, f...) }) }
	tests := []struct {
		name  string
		image Image
		want  string
	}{
		{"no label", with(func(i *Image) { i.Label = "" }), "no label"},
		{"long label", with(func(i *Image) { i.Label = strings.Repeat("l", 33) }), "longer than 32 bytes"},
		{"label in another script", with(func(i *Image) { i.Label = "kůň" }), `label "kůň" is not printable ASCII`},
		{"label with a space at its end", with(func(i *Image) { i.Label = "config-2 " }), "begins or ends with a space"},
		{"long publisher", with(func(i *Image) { i.Publisher = strings.Repeat("p", 129) }), "publisher"},
		{"too early", with(func(i *Image) { i.Created = time.Date(1899, 1, 1, 0, 0, 0, 0, time.UTC) }), "date of the volume: year 1899"},
		{"too late", file(File{Path: "late", ModTime: time.Date(2156, 1, 1, 0, 0, 0, 0, time.UTC)}), `file "late": year 2156`},
		{"escapes", file(text("a/../../etc/passwd", "x")), `file "a/../../etc/passwd": not a relative path`},
		{"absolute", file(text("/etc/passwd", "x")), `file "/etc/passwd": not a relative path`},
		{"not UTF-8", file(text("a\xff", "x")), `file "a\xff": not a relative path`},
		{"long path", file(text(strings.Repeat("directory/", 410)+"f", "x")), "path is longer than 4096 bytes"},
		{"long name", file(text("d/"+strings.Repeat("n", 104), "x")), "name of 104 UTF-16 units"},
		{"long name of long characters", file(text(strings.Repeat("€", 90), "x")), "name of 270 bytes"},
		{"forbidden character", file(text(`d/what?`, "x")), `file "d/what?": name has the character '?'`},
		{"control character", file(text("line\nbreak", "x")), `'\n', which Joliet forbids`},
		{"in a directory", file(text("a:b/c", "x")), `file "a:b/c"`},
		{"twice", file(text("good", "y")), `file "good": listed twice`},
		{"file over directory", file(text("d/f", "x"), text("d", "x")), `file "d": is a file and a directory`},
		{"directory over file", file(text("good/f", "x")), `file "good/f": "good" is a file and a directory`},
		{"root as a file", file(text(".", "x")), `file ".": the root is a directory`},
		{"link", file(File{Path: "l", Mode: fs.ModeSymlink | 0o777}), `file "l": neither file nor directory`},
		{"negative", file(File{Path: "n", Size: -1}), `file "n": size of -1 bytes`},
		{"directory with a size", file(File{Path: "n", Size: 1, Mode: fs.ModeDir}), `file "n": size of 1 bytes`},
		{"without opener", file(File{Path: "n", Size: 1}), `file "n": nothing opens its 1 bytes`},
		{"beyond 32 bits of blocks", file(File{Path: "n", Size: math.MaxUint32 * sector, Open: text("", "").Open}), "more than a volume can number"},
		{"beyond everything", file(File{Path: "n", Size: math.MaxInt64, Open: text("", "").Open}), "more than a volume can number"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			n, err := tt.image.WriteTo(&b)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "iso9660: ") {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if n != 0 || b.Len() != 0 {
				t.Errorf("%d bytes were written", b.Len())
			}
			if _, again := tt.image.Plan(); again == nil || again.Error() != err.Error() {
				t.Errorf("Size says %v", again)
			}
		})
	}
}

func TestOpenersThatLie(t *testing.T) {
	broken := errors.New("broken")
	closed := errors.New("not closed")
	tests := []struct {
		name string
		open func() (io.ReadCloser, error)
		want string
		is   error
	}{
		{"fewer bytes", text("", "abc").Open, "content ends after 3 bytes of 5", io.ErrUnexpectedEOF},
		{"more bytes", text("", "abcdef").Open, "content is longer than its 5 bytes", nil},
		{"does not open", func() (io.ReadCloser, error) { return nil, fs.ErrPermission }, "", fs.ErrPermission},
		{"fails in between", func() (io.ReadCloser, error) { return io.NopCloser(iotest.ErrReader(broken)), nil }, "", broken},
		{"fails to close", func() (io.ReadCloser, error) { return closer{strings.NewReader("abcde"), closed}, nil }, "", closed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Image{Volume: volume(), Files: []File{{Path: "d/f", Size: 5, Open: tt.open}}}.WriteTo(io.Discard)
			if err == nil || !strings.Contains(err.Error(), `file "d/f": `+tt.want) || tt.is != nil && !errors.Is(err, tt.is) {
				t.Error(err)
			}
		})
	}
}

type closer struct {
	io.Reader
	err error
}

func (c closer) Close() error { return c.err }

// The writer's error comes back, not that of a file, and the count is true.
func TestWriterFails(t *testing.T) {
	full := errors.New("no space left on device")
	for _, room := range []int64{0, 5000, 40 * sector} {
		w := &limited{left: room, err: full}
		n, err := sample().WriteTo(w)
		if !errors.Is(err, full) || strings.Contains(err.Error(), "file") || n != room {
			t.Errorf("room for %d: %d, %v", room, n, err)
		}
	}
}

type limited struct {
	left int64
	err  error
}

func (l *limited) Write(b []byte) (int, error) {
	n := min(int64(len(b)), l.left)
	l.left -= n
	if n < int64(len(b)) {
		return int(n), l.err
	}
	return int(n), nil
}

func TestTooManyDirectories(t *testing.T) {
	image := Image{Volume: volume()}
	for i := range maxDirectories {
		image.Files = append(image.Files, File{Path: string([]byte{'a' + byte(i>>12), '/', 'a' + byte(i>>8&15), 'a' + byte(i>>4&15), 'a' + byte(i&15)}), Mode: fs.ModeDir})
	}
	if _, err := image.Plan(); err == nil || !strings.Contains(err.Error(), "more than 65535") {
		t.Error(err)
	}
}

// zeros reads as zeros, as many as asked for.
func zeros(path string, size int64) File {
	return File{Path: path, Size: size, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.LimitReader(zeroReader{}, size)), nil
	}}
}

type zeroReader struct{}

func (zeroReader) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func TestConstantMemory(t *testing.T) {
	image := Image{Volume: volume(), Files: []File{zeros("big", 256<<20)}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := image.WriteTo(io.Discard); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("%d bytes were allocated", grown)
	}
}

// Any tree that Size accepts is read back the same from both trees.
func TestAnyTree(t *testing.T) {
	element := rapid.OneOf(
		rapid.StringMatching(`[a-c]{1,2}`), // often the same
		rapid.StringMatching(`[a-zA-Z0-9_.,~ -]{1,60}`),
		rapid.StringMatching(`\pL{1,103}`),
	)
	rapid.Check(t, func(r *rapid.T) {
		image := Image{Volume: volume()}
		for i, parts := range rapid.SliceOfN(rapid.SliceOfN(element, 1, 12), 0, 30).Draw(r, "paths") {
			f := text(strings.Join(parts, "/"), strings.Repeat("x", i*100))
			f.Mode = fs.FileMode(rapid.Uint32Range(0, 0o777).Draw(r, "mode"))
			f.UID = rapid.Uint32().Draw(r, "uid")
			image.Files = append(image.Files, f)
			if _, err := image.Plan(); err != nil {
				image.Files = image.Files[:len(image.Files)-1]
			}
		}
		want := expected(t, image)
		b := build(t, image)
		if d := cmp.Diff(want, facts(t, reopen(t, b, RockRidge))); d != "" {
			r.Error(d)
		}
		if d := cmp.Diff(bare(want), facts(t, reopen(t, b, Joliet))); d != "" {
			r.Error(d)
		}
		plain := facts(t, reopen(t, b, Plain))
		if len(plain) != len(want) {
			r.Errorf("plain: %v", slices.Sorted(maps.Keys(plain)))
		}
	})
}
