package vfat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// types are one small image for each type.
func types() map[Type]Image {
	return map[Type]Image{
		FAT12: {Type: FAT12, Label: "cidata", Time: noon},
		FAT16: {Type: FAT16, Label: "cidata", Time: noon},
		FAT32: {Type: FAT32, Label: "cidata", Time: noon},
	}
}

func TestFSConforms(t *testing.T) {
	for typ, im := range types() {
		im.Files = sample()
		want := slices.Collect(maps.Keys(wanted(t, im.Files)))
		if err := fstest.TestFS(open(t, build(t, im)), want...); err != nil {
			t.Errorf("%v: %v", typ, err)
		}
	}
}

func TestNamesInAnyCase(t *testing.T) {
	v := open(t, build(t, Image{Files: []File{text("Openstack/Latest/Meta_data.json", "long"), text("Straße/ÉTÉ", "accents")}}))
	for _, path := range []string{
		"Openstack/Latest/Meta_data.json", "openstack/LATEST/meta_DATA.JSON", "OPENST~1/latest/META_D~1.JSO",
		"openst~1/latest/meta_d~1.jso",
	} {
		if b, err := fs.ReadFile(v, path); err != nil || string(b) != "long" {
			t.Errorf("%s: %q, %v", path, b, err)
		}
	}
	if b, err := fs.ReadFile(v, "straße/été"); err != nil || string(b) != "accents" {
		t.Errorf("%q, %v", b, err)
	}
	for _, path := range []string{"openstack/latest/meta_data", "openstack/Latest/Meta_data.json/x", "nothing"} {
		if _, err := v.Open(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// The short entries that other systems write, without long ones or with
// damaged ones.
func TestShortNames(t *testing.T) {
	base := build(t, Image{Type: FAT12, Files: []File{text("A.TXT", "x"), text("long name.txt", "y")}})
	g := open(t, base).g
	for _, c := range []struct {
		name  string
		off   int64 // in the root directory
		patch []byte
		want  []string
	}{
		{"untouched", 0, nil, []string{"A.TXT", "long name.txt"}},
		{"windows lower case", 12, []byte{lowerBase | lowerExt}, []string{"a.txt", "long name.txt"}},
		{"lower base", 12, []byte{lowerBase}, []string{"a.TXT", "long name.txt"}},
		{"lower extension", 12, []byte{lowerExt}, []string{"A.txt", "long name.txt"}},
		{"code page", 0, []byte{0x05, 0x9a}, []string{"long name.txt", "σÜ.TXT"}},
		{"deleted", 0, []byte{0xe5}, []string{"long name.txt"}},
		{"label", 11, []byte{attrVolumeID}, []string{"long name.txt"}},
		{"checksum", 32 + 13, []byte{0}, []string{"A.TXT", "LONGNA~1.TXT"}},
		{"ordinal", 32, []byte{0x42}, []string{"A.TXT", "LONGNA~1.TXT"}},
		{"ordinal zero", 32, []byte{0x40}, []string{"A.TXT", "LONGNA~1.TXT"}},
		{"ordinal too large", 32, []byte{0x7f}, []string{"A.TXT", "LONGNA~1.TXT"}},
		{"no start", 32, []byte{0x01}, []string{"A.TXT", "LONGNA~1.TXT"}},
		{"surrogate", 32 + 1, []byte{0x00, 0xd8}, []string{"A.TXT", "LONGNA~1.TXT"}},
		{"slash", 32 + 1, []byte{'/', 0}, []string{"A.TXT", "LONGNA~1.TXT"}},
		{"empty long name", 32 + 1, []byte{0, 0}, []string{"A.TXT", "LONGNA~1.TXT"}},
		{"end", 32, []byte{0}, []string{"A.TXT"}},
	} {
		b := slices.Clone(base)
		copy(b[g.rootOff+c.off:], c.patch)
		var got []string
		entries, err := open(t, b).ReadDir(".")
		for _, e := range entries {
			got = append(got, e.Name())
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
	}
}

// readAll walks and reads the whole volume, and gives the first error.
func readAll(b []byte) error {
	v, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return err
	}
	return fs.WalkDir(v, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			_, err = fs.ReadFile(v, path)
		}
		return err
	})
}

func TestDamageHasAnOffset(t *testing.T) {
	le := binary.LittleEndian
	files := []File{
		text("A/B/C", "deep"), text("BIG", strings.Repeat("x", 100_000)), text("SMALL", strings.Repeat("y", 3000)),
	}
	for typ, im := range types() {
		im.Files = files
		base := build(t, im)
		g := open(t, base).g
		root := g.rootOff
		if typ == FAT32 {
			root = g.clusterOff(2)
		}
		// Entries of the root: the label, A, BIG, SMALL.
		dirA, big, small := root+32, root+64, root+96
		first := func(at int64) uint32 { return uint32(le.Uint16(base[at+26:])) }
		link := func(c uint32) int64 { return g.fatOff + int64(c)*int64(typ)/8 }
		set := func(c, v uint32) func([]byte) {
			return func(b []byte) {
				switch typ {
				case FAT12:
					old := le.Uint16(b[link(c):])
					shift := c & 1 * 4
					le.PutUint16(b[link(c):], old&^(0xfff<<shift)|uint16(v&0xfff)<<shift)
				case FAT16:
					le.PutUint16(b[link(c):], uint16(v))
				case FAT32:
					le.PutUint32(b[link(c):], v)
				}
			}
		}
		put16 := func(at int64, v uint32) func([]byte) {
			return func(b []byte) { le.PutUint16(b[at:], uint16(v)) }
		}
		aB := g.clusterOff(first(dirA)) + 64 // entry B of A
		for name, c := range map[string]struct {
			damage func([]byte)
			at     int64
			says   string
		}{
			"no signature":          {put16(510, 0), 510, "signature"},
			"sector size":           {put16(11, 513), 11, "sectors of 513"},
			"sector size 0":         {put16(11, 0), 11, "sectors of 0"},
			"cluster size":          {func(b []byte) { b[13] = 3 }, 13, "clusters of 3"},
			"cluster size 0":        {func(b []byte) { b[13] = 0 }, 13, "clusters of 0"},
			"no reserved":           {put16(14, 0), 14, "reserved"},
			"no table":              {func(b []byte) { b[16] = 0 }, 16, "no allocation table"},
			"a loop of directories": {put16(aB+26, first(dirA)), aB + 26, "B starts at cluster"},
			"a directory from none": {func(b []byte) { put16(dirA+20, 0xfff)(b); put16(dirA+26, 0xffff)(b) }, dirA + 26, "A starts at cluster"},
			"a directory from 0":    {put16(dirA+26, 0), dirA + 26, "A starts at cluster"},
			"a loop in a directory": {set(first(dirA), first(dirA)), link(first(dirA)), "reached twice"},
			"a loop in a file":      {set(first(big)+5, first(big)+2), link(first(big) + 5), "reached twice"},
			"the same file twice":   {put16(small+26, first(big)), small + 26, "as does the entry at byte"},
			"a cross link":          {set(first(small), first(big)+1), link(first(small)), "reached twice"},
			"a chain too short":     {set(first(big)+3, typ.endOfChain()), link(first(big) + 3), "ends after 4 of"},
			"a free cluster":        {set(first(big)+3, 0), link(first(big) + 3), "which is none"},
			"cluster 1":             {set(first(big)+3, 1), link(first(big) + 3), "which is none"},
			"a bad cluster":         {set(first(big)+3, typ.endOfChain()-1), link(first(big) + 3), "which is none"},
			"beyond the end":        {set(first(big)+3, g.clusters+2), link(first(big) + 3), "which is none"},
			"size beyond the end":   {func(b []byte) { le.PutUint32(b[big+28:], 0xffffffff) }, big + 28, "has 4294967295 bytes"},
			"name":                  {func(b []byte) { b[big] = '/' }, big, `the name "/IG"`},
			"control in the name":   {func(b []byte) { b[big] = 7 }, big, "the name"},
			"no name":               {func(b []byte) { copy(b[big:], "        ") }, big, `the name ""`},
			"the same name":         {func(b []byte) { copy(b[small:], "BIG     ") }, small, `the name "BIG" again`},
			"deep down":             {func(b []byte) { copy(b[aB:], "../     ") }, aB, "the name"},
		} {
			b := slices.Clone(base)
			c.damage(b)
			err := readAll(b)
			var format *FormatError
			if !errors.As(err, &format) || format.Offset != c.at || !strings.Contains(format.Problem, c.says) {
				t.Errorf("%v: %s: %v; want byte %d, %q", typ, name, err, c.at, c.says)
			}
		}
	}
}

func TestDamagedFileLeavesTheOthersReadable(t *testing.T) {
	b := build(t, Image{Type: FAT16, Files: []File{text("A", "first"), text("B", strings.Repeat("b", 5000)), text("C", "last")}})
	g := open(t, b).g
	binary.LittleEndian.PutUint16(b[g.fatOff+2*4:], 0)
	v := open(t, b)
	for range 2 {
		var format *FormatError
		if _, err := v.Open("B"); !errors.As(err, &format) {
			t.Errorf("B: %v", err)
		}
	}
	for path, want := range map[string]string{"A": "first", "C": "last"} {
		if got, err := fs.ReadFile(v, path); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
}

func TestBootSectorNonsense(t *testing.T) {
	le := binary.LittleEndian
	for name, c := range map[string]struct {
		typ    Type
		damage func([]byte)
		says   string
	}{
		"more than there is":  {FAT16, func(b []byte) { le.PutUint16(b[19:], 0); le.PutUint32(b[32:], 1<<31) }, "byte 32: a volume of"},
		"16 bits too":         {FAT12, func(b []byte) { le.PutUint16(b[19:], 0xffff) }, "byte 19: a volume of"},
		"no sectors":          {FAT16, func(b []byte) { le.PutUint16(b[19:], 0); le.PutUint32(b[32:], 0) }, "no room for data"},
		"huge tables":         {FAT16, func(b []byte) { le.PutUint16(b[22:], 0xffff) }, "byte 22: the tables leave no room"},
		"huge tables of 32":   {FAT32, func(b []byte) { le.PutUint32(b[36:], 0xffffffff) }, "byte 36: the tables leave no room"},
		"255 tables":          {FAT32, func(b []byte) { b[16] = 255; le.PutUint32(b[36:], 0xffffffff) }, "no room for data"},
		"no table length":     {FAT32, func(b []byte) { le.PutUint32(b[36:], 0) }, "without sectors"},
		"root of FAT32":       {FAT32, func(b []byte) { le.PutUint16(b[17:], 512) }, "byte 17: no FAT volume: 512 entries"},
		"no root":             {FAT16, func(b []byte) { le.PutUint16(b[17:], 0) }, "byte 17: no FAT volume: 0 entries"},
		"root cluster":        {FAT32, func(b []byte) { le.PutUint32(b[44:], 0) }, "starts at cluster 0"},
		"root cluster beyond": {FAT32, func(b []byte) { le.PutUint32(b[44:], 0xfffffff) }, "starts at cluster 268435455"},
		"version":             {FAT32, func(b []byte) { le.PutUint16(b[42:], 1) }, "byte 42: FAT32 of the unknown version"},
		"active table":        {FAT32, func(b []byte) { le.PutUint16(b[40:], 0x82) }, "byte 40: allocation table 2 of 2"},
		"NTFS":                {FAT16, func(b []byte) { copy(b[3:], "NTFS    "); clear(b[14:21]); clear(b[22:24]) }, "byte 14: no FAT volume"},
		"too many for 16":     {FAT32, func(b []byte) { le.PutUint16(b[17:], 512); le.PutUint16(b[22:], 400) }, "clusters with a table of 16 bits"},
	} {
		b := build(t, types()[c.typ])
		c.damage(b)
		if err := readAll(b); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %q", name, err, c.says)
		}
	}
	for _, size := range []int{0, 1, 511, 512, 5000} {
		if err := readAll(make([]byte, size)); err == nil {
			t.Errorf("%d zeros were taken", size)
		}
	}
}

func TestActiveTableAndShortTable(t *testing.T) {
	b := build(t, Image{Type: FAT32, Files: []File{text("F", strings.Repeat("z", 5000))}})
	g := open(t, b).g
	clear(b[g.fatOff : g.fatOff+g.fatLen])
	if err := readAll(b); err == nil {
		t.Error("the first table is not read")
	}
	binary.LittleEndian.PutUint16(b[40:], 0x81) // only the second is kept
	if err := readAll(b); err != nil {
		t.Error(err)
	}
}

// A directory with no end: its clusters go on and on without an end mark.
func TestEndlessDirectory(t *testing.T) {
	b := build(t, Image{Type: FAT32, Size: NovaSize, Files: []File{text("BIG", strings.Repeat("\xe5", 10<<20)), {Path: "D/"}}})
	g := open(t, b).g
	root := g.clusterOff(2)
	big := binary.LittleEndian.Uint16(b[root+26:])
	b[root+11] = attrDirectory
	err := readAll(b)
	var format *FormatError
	if !errors.As(err, &format) || !strings.Contains(format.Problem, "more than 65536 entries") {
		t.Error(err)
	}
	if want := g.fatOff + 4*(int64(big)+4096-1); format != nil && format.Offset != want {
		t.Errorf("byte %d, want %d", format.Offset, want)
	}
}

// Directories that lead to one another in every way would take a walk for
// ever: each may have only one place.
func TestDirectoriesMeetOnlyOnce(t *testing.T) {
	var files []File
	for i := range 50 {
		for j := range 10 {
			files = append(files, File{Path: fmt.Sprintf("%02d/%d/", i, j)})
		}
	}
	b := build(t, Image{Type: FAT16, Files: files})
	g := open(t, b).g
	for off := g.dataOff; off < g.dataOff+560*g.cluster; off += entrySize {
		if b[off] >= '0' && b[off] <= '9' {
			binary.LittleEndian.PutUint16(b[off+26:], 3)
		}
	}
	if err := readAll(b); err == nil || !strings.Contains(err.Error(), "starts at cluster 3") {
		t.Error(err)
	}
}

func TestReadAtAndSeekInPieces(t *testing.T) {
	want := make([]byte, 3_000_000)
	for i := range want {
		want[i] = byte(i * i >> 8)
	}
	b := build(t, Image{Type: FAT32, Size: NovaSize, Files: []File{text("f", string(want))}})
	// Scatter the file: swap clusters pairwise, so that no two lie together.
	g := open(t, b).g
	scatter(b, &g, 3, uint32(len(want)/int(g.cluster)))
	f, err := open(t, b).Open("f")
	if err != nil {
		t.Fatal(err)
	}
	file := f.(*openFile)
	for _, off := range []int64{0, 2_999_000, 511, 1_048_576, 1_000_000, 5, 2_097_151, 0} {
		got := make([]byte, 1000)
		n, err := file.ReadAt(got, off)
		if err != nil || n != len(got) || !bytes.Equal(got, want[off:off+1000]) {
			t.Errorf("at %d: %d bytes, %v", off, n, err)
		}
	}
	if len(file.marks) < 3 {
		t.Errorf("%d marks", len(file.marks))
	}
}

// scatter exchanges each two neighbours among n clusters of FAT32 from first.
func scatter(b []byte, g *geometry, first, n uint32) {
	le := binary.LittleEndian
	n -= n % 2
	cluster := func(c uint32) []byte { return b[g.clusterOff(c):][:g.cluster] }
	link := func(c uint32) []byte { return b[g.fatOff+int64(c)*4:] }
	last := le.Uint32(link(first + n - 1))
	for c := first; c < first+n; c += 2 {
		tmp := slices.Clone(cluster(c))
		copy(cluster(c), cluster(c+1))
		copy(cluster(c+1), tmp)
		le.PutUint32(link(c+1), c)
		le.PutUint32(link(c), c+3)
	}
	le.PutUint32(link(first+n-2), last)
	root := g.clusterOff(2)
	le.PutUint16(b[root+32+26:], uint16(first+1))
}
