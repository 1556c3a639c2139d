package iso9660

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// crafted is a volume that is changed byte by byte.
type crafted []byte

// small is the volume that most are made of: a name that is continued, two
// files that can be joined, directories in directories.
func small(t testing.TB) crafted {
	t.Helper()
	return build(t, Image{Volume: volume(), Files: []File{
		text("d/e/f", "inner"), text("m1", "first"), text("m2", "second"), text("z", "last"), text(wideName, "long"),
	}})
}

// record is the offset of the primary record with an identifier.
func (c crafted) record(id string) int {
	for at := systemArea * sector; at+recordHead+len(id) < len(c); at += 2 {
		same := bytes.Equal(c[at+2:at+6], []byte{c[at+9], c[at+8], c[at+7], c[at+6]})
		if int(c[at]) > recordHead && same && int(c[at+32]) == len(id) && string(c[at+33:at+33+len(id)]) == id {
			return at
		}
	}
	panic("no record of " + id)
}

// use is the offset of an entry in the system use of a record.
func (c crafted) use(id, signature string) int {
	at := c.record(id)
	i := bytes.Index(c[at:at+int(c[at])], []byte(signature))
	if i < 0 {
		panic("no " + signature + " in " + id)
	}
	return at + i
}

// rest is the offset of the continuation area.
func (c crafted) rest() int { return bytes.Index(c, []byte(extensionReference)) }

// hidden replaces the entry at an offset by one that says nothing.
func (c crafted) hidden(at int) { copy(c[at:], "XX") }

// link makes a symbolic link of the file with an identifier: its times give
// way to the components.
func (c crafted) link(id, components string) {
	at := c.use(id, "TF")
	n := copy(c[at:], "SL\x00\x01\x00"+components)
	c[at+2] = byte(n)
	copy(c[at+n:], []byte{'X', 'X', byte(lenTF - n), 1})
	c[c.use(id, "PX")+5] = 0o120000 >> 8
}

const (
	descriptorAt = systemArea * sector
	longID       = "______________________________.;1"
)

var wideName = strings.Repeat("ž", 103)

// damage is a volume that must be refused, and where the error is.
type damage struct {
	name string
	make func(crafted) crafted
	at   func(crafted) int // in the volume before; nil: not looked at
	want string
}

func place(at int) func(crafted) int { return func(crafted) int { return at } }

func inRecord(id string) func(crafted) int {
	return func(c crafted) int { return c.record(id) }
}

var damages = []damage{
	{"no primary descriptor", func(c crafted) crafted { c[descriptorAt] = 3; return c }, place(18 * sector), "no primary volume descriptor"},
	{"descriptors without end", func(c crafted) crafted {
		for at := 17 * sector; at < 18*sector; at += sector {
			c[at] = 3
		}
		return append(c[:18*sector], bytes.Repeat(c[17*sector:18*sector], 70)...)
	}, place(80 * sector), "more than 64 volume descriptors"},
	{"cut in the descriptors", func(c crafted) crafted { return c[:17*sector+5] }, place(17 * sector), "pass the end"},
	{"cut in the directories", func(c crafted) crafted { return c[:24*sector] }, nil, "pass"},
	{"cut in the contents", func(c crafted) crafted { return c[:len(c)-sector] }, nil, "passes the end"},
	{"blocks of no bytes", func(c crafted) crafted { c[descriptorAt+129] = 0; return c }, place(descriptorAt + 128), "logical blocks of 0 bytes"},
	{"root without identifier", func(c crafted) crafted { c[descriptorAt+156+32] = 0; return c }, place(descriptorAt + 156), "directory record"},
	{"root in a file", func(c crafted) crafted { copy(c[descriptorAt+158:], c[c.record("z.;1")+2:][:8]); return c }, nil, "directory record"},
	{"directory in itself", func(c crafted) crafted { copy(c[c.record("e")+2:], c[c.record("d")+2:][:8]); return c }, inRecord("e"), "reached a second time"},
	{"root in a directory", func(c crafted) crafted { copy(c[c.record("e")+2:], c[descriptorAt+158:][:8]); return c }, inRecord("e"), "reached a second time"},
	{"long directory", func(c crafted) crafted { le.PutUint32(c[c.record("d")+10:], math.MaxUint32); return c }, nil, "directory of 4294967295 bytes passes the end"},
	{"directory behind the end", func(c crafted) crafted { le.PutUint32(c[c.record("d")+2:], 1<<30); return c }, place(1 << 41), "passes the end"},
	{"file behind the end", func(c crafted) crafted { le.PutUint32(c[c.record("z.;1")+2:], 1<<30); return c }, inRecord("z.;1"), "file of 4 bytes at byte 2199023255552 passes the end"},
	{"long file", func(c crafted) crafted { le.PutUint32(c[c.record("z.;1")+10:], 1<<30); return c }, inRecord("z.;1"), "passes the end"},
	{"short record", func(c crafted) crafted { c[c.record("z.;1")] = 33; return c }, inRecord("z.;1"), "directory record of 33 bytes"},
	{"record behind its directory", func(c crafted) crafted {
		le.PutUint32(c[c.record("e")+10:], uint32(c.record("f.;1")%sector+40))
		return c
	}, inRecord("f.;1"), "passes the end of its sector"},
	{"long identifier", func(c crafted) crafted { c[c.record("z.;1")+32] = 255; return c }, nil, "directory record of"},
	{"file without end", func(c crafted) crafted { c[c.record("z.;1")+25] = flagMultiExtent; return c }, nil, "ends without its last one"},
	{"file that another follows", func(c crafted) crafted { c[c.record("m1.;1")+25] = flagMultiExtent; return c }, inRecord("m2.;1"), "ends without its last one"},
	{"sections beyond the volume", func(c crafted) crafted {
		for _, at := range []int{c.record("m1.;1"), c.record("m2.;1")} {
			copy(c[at+2:], append32(append32(nil, 0), uint32(len(c))))
			c[at+25], c[at+34] = flagMultiExtent, '1'
		}
		return c
	}, nil, "passes the end"},
	{"slash in a name", func(c crafted) crafted { c[c.use("z.;1", "NM")+5] = '/'; return c }, inRecord("z.;1"), `name "/"`},
	{"zero in a name", func(c crafted) crafted { c[c.use("z.;1", "NM")+5] = 0; return c }, inRecord("z.;1"), `name "\x00"`},
	{"dot as a name", func(c crafted) crafted { c[c.use("z.;1", "NM")+5] = '.'; return c }, inRecord("z.;1"), `name "."`},
	{"endless name", func(c crafted) crafted {
		at := c.rest() + len(extensionReference)
		c[at+2] = 255
		le.PutUint32(c[c.use(longID, "CE")+20:], 255)
		return c
	}, nil, "system use entry NM: name is too long"},
	{"entry of no bytes", func(c crafted) crafted { c[c.use("z.;1", "PX")+2] = 0; return c }, nil, "system use entry of 0 bytes"},
	{"entry behind its record", func(c crafted) crafted { c[c.use("z.;1", "NM")+2] = 100; return c }, nil, "system use entry of 100 bytes"},
	{"short PX", func(c crafted) crafted { c[c.use("z.;1", "PX")+2] = 12; return c }, nil, "system use entry PX: too short"},
	{"short NM", func(c crafted) crafted { c[c.use("z.;1", "NM")+2] = 4; return c }, nil, "system use entry NM: too short"},
	{"short CE", func(c crafted) crafted { c[c.use(longID, "CE")+2] = 24; return c }, nil, "system use entry CE: 24 bytes"},
	{"short ER", func(c crafted) crafted { c[c.rest()+4] = 255; return c }, nil, "system use entry ER: too short"},
	{"continuation of itself", func(c crafted) crafted {
		ce := c.use(longID, "CE")
		copy(c[c.rest()+len(extensionReference):], append(bytes.Clone(c[ce:ce+lenCE]), 0))
		return c
	}, inRecord(longID), "more than 32 continuation areas"},
	{"continuation behind the end", func(c crafted) crafted { le.PutUint32(c[c.use(longID, "CE")+4:], 1<<30); return c }, nil, "pass the end"},
	{"long continuation", func(c crafted) crafted { le.PutUint32(c[c.use(longID, "CE")+20:], 1<<30); return c }, nil, "continuation area of 1073741824 bytes"},
	{"link with a long component", func(c crafted) crafted { copy(c[c.use("z.;1", "TF"):], "SL\x1a\x01\x00\x00\xff"); return c }, nil, "system use entry SL: component is too long"},
	{"relocation to a file", func(c crafted) crafted {
		copy(c[c.use("z.;1", "TF"):], append([]byte("CL\x1a\x01"), c[c.record("z.;1")+2:][:8]...))
		return c
	}, nil, "directory record of"},
	{"relocation of the root", func(c crafted) crafted {
		copy(c[c.use("z.;1", "TF"):], append([]byte("CL\x1a\x01"), c[descriptorAt+158:][:8]...))
		return c
	}, inRecord("z.;1"), "reached a second time"},
}

func TestDamaged(t *testing.T) {
	for _, tt := range damages {
		t.Run(tt.name, func(t *testing.T) {
			c := tt.make(small(t))
			_, err := Open(bytes.NewReader(c), int64(len(c)))
			var damaged *FormatError
			if !errors.As(err, &damaged) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if tt.at != nil && damaged.Offset != int64(tt.at(small(t))) {
				t.Errorf("%v, but it is at %d", err, tt.at(small(t)))
			}
		})
	}
}

func TestNoVolume(t *testing.T) {
	for _, b := range [][]byte{nil, make([]byte, 100), make([]byte, 40*sector), small(t)[:systemArea*sector+100]} {
		if _, err := Open(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrNoVolume) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
	broken := errors.New("broken")
	if _, err := Open(failing{broken}, 1<<20); !errors.Is(err, broken) || errors.Is(err, ErrNoVolume) {
		t.Error(err)
	}
	if _, err := Open(bytes.NewReader(nil), 1<<20); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

// endless is a volume that has a content wherever one looks.
type endless struct{ crafted }

func (e endless) ReadAt(b []byte, at int64) (int, error) {
	clear(b)
	if at < int64(len(e.crafted)) {
		copy(b, e.crafted[at:])
	}
	return len(b), nil
}

// What costs time or memory ends, however large the volume is.
func TestBounds(t *testing.T) {
	many := Image{Volume: volume()}
	for i := range 1100 {
		many.Files = append(many.Files, text(fmt.Sprintf("%s%04d", strings.Repeat("ž", 99), i), ""))
	}
	tests := []struct {
		name string
		make func() crafted
		want string
	}{
		{"directory of 4 GB", func() crafted {
			c := small(t)
			le.PutUint32(c[c.record("d")+10:], math.MaxUint32)
			return c
		}, "directories of more than 67108864 bytes"},
		{"continuations that are used again and again", func() crafted {
			c := crafted(build(t, many))
			for at := 0; ; at += lenCE {
				next := bytes.Index(c[at:], []byte("CE\x1c\x01"))
				if next < 0 {
					return c
				}
				at += next
				le.PutUint32(c[at+4:], uint32(len(c)/sector))
				le.PutUint32(c[at+20:], maxArea)
			}
		}, "directories of more than 67108864 bytes"},
		{"entries without end", func() crafted {
			c := small(t)
			at := len(c)
			c[descriptorAt+sector] = 3 // no Joliet
			copy(c[descriptorAt+156+2:], append32(nil, uint32(at/sector)))
			copy(c[descriptorAt+156+10:], append32(nil, maxMetadata))
			c = append(c, record{block: int64(at / sector), size: maxMetadata, flags: flagDirectory, id: rootID}.append(nil)...)
			for i := range maxEntries + 1 {
				r := record{id: fmt.Sprintf("%06d;1", i)}.append(nil)
				if len(c)%sector+len(r) > sector {
					c = append(c, make([]byte, sector-len(c)%sector)...)
				}
				c = append(c, r...)
			}
			return c
		}, "more than 262144 files and directories"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Open(endless{tt.make()}, math.MaxInt64)
			var damaged *FormatError
			if !errors.As(err, &damaged) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// What is rare, and right.
func TestRare(t *testing.T) {
	read := func(f fs.FS, name string) string {
		b, err := fs.ReadFile(f, name)
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	tests := []struct {
		name  string
		make  func(crafted)
		check string
		want  string
	}{
		{"sections of any length", func(c crafted) {
			c[c.record("m1.;1")+25] = flagMultiExtent
			c[c.record("m2.;1")+34] = '1'
		}, "m1", "firstsecond"},
		{"extended attributes", func(c crafted) {
			at := c.record("m1.;1")
			c[at+1] = 1
			le.PutUint32(c[at+2:], le.Uint32(c[at+2:])-1)
		}, "m1", "first"},
		{"associated file", func(c crafted) { c[c.record("m1.;1")+25] = flagAssociated }, "m1", "open m1: file does not exist"},
		{"interleaved file", func(c crafted) { c[c.record("m1.;1")+26] = 1 }, "m1", "open m1: interleaved files are not supported"},
		{"compressed file", func(c crafted) { copy(c[c.use("m1.;1", "TF"):], "ZF") }, "m1", "open m1: compressed files are not supported"},
		{"sparse file", func(c crafted) { copy(c[c.use("m1.;1", "TF"):], "SF") }, "m1", "open m1: sparse files are not supported"},
		{"two of one name", func(c crafted) { c[c.use("m2.;1", "NM")+6] = '1' }, "m1", "first"},
		{"name that is not UTF-8", func(c crafted) { c[c.use("m1.;1", "NM")+6] = 0xe9 }, "m\uFFFD", "first"},
		{"without a name", func(c crafted) { c.hidden(c.use("m1.;1", "NM")) }, "m1", "first"},
		{"entries that end", func(c crafted) { copy(c[c.use("m1.;1", "PX"):], "ST") }, "m1", "first"},
		{"link that leads to itself", func(c crafted) {
			c.link("z.;1", "\x00\x01z")
		}, "z", "open z: too many symbolic links"},
		{"link out of the volume", func(c crafted) {
			c.link("z.;1", "\x08\x00\x04\x00\x04\x00\x02\x00\x01\x01m\x00\x011")
		}, "z", "first"},
		{"no Rock Ridge", func(c crafted) { c.hidden(bytes.Index(c, []byte("SP\x07\x01"))) }, wideName, "long"},
		{"neither nor Joliet", func(c crafted) {
			c.hidden(bytes.Index(c, []byte("SP\x07\x01")))
			c[descriptorAt+sector] = 3
		}, strings.Repeat("_", 30), "long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := small(t)
			tt.make(c)
			f, err := Open(bytes.NewReader(c), int64(len(c)))
			if err != nil {
				t.Fatal(err)
			}
			if got := read(f, tt.check); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Blocks may be smaller than sectors.
func TestSmallBlocks(t *testing.T) {
	for _, size := range []uint32{512, 1024} {
		c := small(t)
		le.PutUint16(c[descriptorAt+128:], uint16(size))
		double := func(at int) { le.PutUint32(c[at+2:], le.Uint32(c[at+2:])*(sector/size)) }
		double(descriptorAt + 156)
		for _, id := range []string{"d", "e", "f.;1", "m1.;1", "m2.;1", "z.;1", longID} {
			double(c.record(id))
		}
		f := reopen(t, c, Plain)
		for name, want := range map[string]string{"d/e/f": "inner", "z": "last"} {
			if b, err := fs.ReadFile(f, name); err != nil || string(b) != want {
				t.Errorf("%d: %s: %q, %v", size, name, b, err)
			}
		}
	}
}

func TestDates(t *testing.T) {
	tests := []struct {
		b    []byte
		want time.Time
	}{
		{[]byte{126, 11, 21, 3, 40, 20, 0}, time.Date(2026, 11, 21, 3, 40, 20, 0, time.UTC)},
		{[]byte{126, 1, 1, 1, 0, 0, 8}, time.Date(2025, 12, 31, 23, 0, 0, 0, time.UTC)},
		{[]byte{126, 1, 1, 1, 0, 0, 0xec}, time.Date(2026, 1, 1, 6, 0, 0, 0, time.UTC)},
		{[]byte{0, 0, 0, 0, 0, 0, 0}, time.Time{}},
		{[]byte{126, 13, 1, 0, 0, 0, 0}, time.Time{}},
		{[]byte{126, 1, 1, 24, 0, 0, 0}, time.Time{}},
		{[]byte{126, 1, 1, 0, 0, 0, 100}, time.Time{}},
		{[]byte("2026112103402012\x00"), created},
		{[]byte("2026112103402012\x04"), created.Add(-time.Hour)},
		{[]byte("0000000000000000\x00"), time.Time{}},
		{[]byte("                \x00"), time.Time{}},
	}
	for _, tt := range tests {
		parse := parseDate
		if len(tt.b) == 17 {
			parse = parseLongDate
		}
		if d := cmp.Diff(tt.want, parse(tt.b)); d != "" {
			t.Errorf("%q: %s", tt.b, d)
		}
	}
}
