package partition

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tool runs a peer. One that is missing skips the test; in continuous
// integration it fails it.
func tool(t testing.TB, stdin, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("/usr/sbin/" + name)
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing", name)
	}
	if err != nil {
		t.Skipf("%s is missing", name)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// image makes a disk of size bytes that a script of sfdisk partitions.
func image(t testing.TB, size int64, script string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	tool(t, script, "sfdisk", "--quiet", path)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func read(t testing.TB, f *os.File) *Table {
	t.Helper()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	table, err := Read(f, st.Size(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

const mib = 1 << 20

// layouts are disks as cloud images have them.
var layouts = map[string]struct {
	size   int64
	script string
	number int // of the new partition
}{
	"gpt":         {64 * mib, "label: gpt\nsize=20MiB, name=root\n", 2},
	"gpt, Debian": {64 * mib, "label: gpt\nfirst-lba: 34\n14: start=2048, size=3MiB, type=21686148-6449-6E6F-744E-656564454649\n15: start=8192, size=8MiB, type=uefi\n1: start=32768, size=20MiB\n", 16},
	"gpt, odd":    {64*mib + 3*512, "label: gpt\nsize=20001\n", 2},
	"mbr":         {64 * mib, "label: dos\nsize=20MiB, bootable\n", 2},
	"mbr, logical": {64 * mib, "label: dos\n1: size=5MiB\n2: size=10MiB, type=5\n5: size=2MiB\n6: size=2MiB\n",
		3},
	"mbr, a gap in the numbers": {64 * mib, "label: dos\n1: size=5MiB\n4: size=5MiB\n", 2},
}

func TestAppendAsOthersSeeIt(t *testing.T) {
	for name, l := range layouts {
		for grown, more := range map[string]int64{"": 0, ", larger since": 3*mib + 512} {
			t.Run(name+grown, func(t *testing.T) {
				f := image(t, l.size, l.script)
				before := dump(t, f)
				if err := f.Truncate(l.size + more); err != nil {
					t.Fatal(err)
				}
				table := read(t, f)
				a, err := table.Append(New{Size: 600_000, Kind: FAT, Name: "config-2", ID: [16]byte{1, 2, 3}})
				if err != nil {
					t.Fatal(err)
				}
				if err := a.Commit(f); err != nil {
					t.Fatal(err)
				}
				if a.Number != l.number || a.Size != mib || a.Start%mib != 0 || l.size+more-a.end() > 2*mib {
					t.Errorf("%+v", a.Partition)
				}
				verify(t, f, table.Scheme)
				after := dump(t, f)
				added := after[a.Number]
				delete(after, a.Number)
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("the other partitions: %s", diff)
				}
				kind := "type=e"
				if table.Scheme == GPT {
					kind = `type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7,uuid=00030201-0000-0000-0000-000000000000,name="config-2"`
				}
				if want := fmt.Sprintf("start=%d,size=%d,%s", a.Start/512, a.Size/512, kind); added != want {
					t.Errorf("sfdisk has %s, want %s", added, want)
				}
				if again := read(t, f).Partitions; !cmp.Equal(again[len(again)-1], a.Partition) {
					t.Errorf("read again: %+v", again)
				}
			})
		}
	}
}

var (
	dumped = regexp.MustCompile(`(?m)^\S+?(\d+) : (.*)$`)
	blanks = regexp.MustCompile(` *([=,]) *`)
)

// dump is what sfdisk says of each partition.
func dump(t *testing.T, f *os.File) map[int]string {
	t.Helper()
	all := map[int]string{}
	for _, m := range dumped.FindAllStringSubmatch(tool(t, "", "sfdisk", "--dump", f.Name()), -1) {
		var n int
		fmt.Sscan(m[1], &n)
		all[n] = blanks.ReplaceAllString(m[2], "$1")
	}
	return all
}

func verify(t *testing.T, f *os.File, s Scheme) {
	t.Helper()
	if out := tool(t, "", "sfdisk", "--verify", f.Name()); !strings.Contains(out, "No errors detected") && !strings.Contains(out, "Remaining ") {
		t.Errorf("sfdisk --verify: %s", out)
	}
	if s == GPT {
		if out := tool(t, "", "sgdisk", "-v", f.Name()); !strings.Contains(out, "No problems found") {
			t.Errorf("sgdisk -v: %s", out)
		}
	}
}

func TestAppendWithoutRoom(t *testing.T) {
	for name, l := range layouts {
		t.Run(name, func(t *testing.T) {
			table := read(t, image(t, l.size, l.script))
			last := table.Partitions[len(table.Partitions)-1]
			left := (l.size-mib)/mib*mib - (last.end()+mib-1)/mib*mib
			if table.Scheme == MBR {
				left = l.size/mib*mib - (last.end()+mib-1)/mib*mib
			} else if l.size%mib != 0 {
				left = l.size/mib*mib - mib - (last.end()+mib-1)/mib*mib
			}
			if a, err := table.Append(New{Size: left}); err != nil || a.Start < last.end() {
				t.Errorf("%d bytes: %v, %v", left, a, err)
			}
			_, err := table.Append(New{Size: left + 1})
			if !errors.Is(err, ErrNoRoom) || !strings.Contains(err.Error(), fmt.Sprint(left)) {
				t.Errorf("%d bytes: %v", left+1, err)
			}
			if n := table.Need(left); n != l.size {
				t.Errorf("%d bytes need a disk of %d, not %d", left, n, l.size)
			}
			table.size = table.Need(left + 1)
			if a, err := table.Append(New{Size: left + 1}); err != nil || a.Start < l.size || table.size > l.size+left+4*mib {
				t.Errorf("on a disk of %d bytes: %+v, %v", table.size, a, err)
			}
		})
	}
}

func TestTableFull(t *testing.T) {
	table := read(t, image(t, 64*mib, "label: dos\nsize=1MiB\nsize=1MiB\nsize=1MiB\nsize=1MiB\n"))
	if _, err := table.Append(New{Size: 1}); err == nil || !strings.Contains(err.Error(), "full") {
		t.Error(err)
	}
}

// A GPT of a disk with large sectors, made of one with small ones: sfdisk makes
// none in a file.
func TestSectorsOf4096(t *testing.T) {
	small := contents(t, "gpt")
	disk := make(memory, len(small))
	copy(disk, small[:512])
	copy(disk[4096:], small[512:1024])
	copy(disk[8192:], small[1024:1024+128*128])
	for _, at := range []int{32, 40} {
		little.PutUint64(disk[8192+at:], (little.Uint64(small[1024+at:])+1)/8)
	}
	little.PutUint64(disk[8192+40:], little.Uint64(disk[8192+40:])-1)
	h := header{sector: disk[4096:8192]}
	little.PutUint64(h.sector[atFirst:], 6)
	little.PutUint32(h.sector[atEntriesCRC:], checksumOf(disk[8192:8192+128*128]))
	little.PutUint32(h.sector[atHeaderCRC:], h.checksum())
	table, err := Read(bytes.NewReader(disk), int64(len(disk)), 0)
	if err != nil || table.SectorSize != 4096 {
		t.Fatal(table, err)
	}
	a, err := table.Append(New{Size: mib, Name: "config-2"})
	if err != nil || a.Commit(disk) != nil {
		t.Fatal(err)
	}
	for _, sector := range []int64{0, 4096} {
		again, err := Read(bytes.NewReader(disk), int64(len(disk)), sector)
		if err != nil || len(again.Partitions) != 2 || again.Partitions[1] != a.Partition {
			t.Errorf("%+v, %v", again, err)
		}
	}
	if _, err := Read(bytes.NewReader(disk), int64(len(disk)), 512); err == nil {
		t.Error("a table for sectors of 4096 bytes was read with 512")
	}
}

// damage is a disk's bytes with some exchanged.
func damage(b []byte, edits map[int]byte) []byte {
	b = bytes.Clone(b)
	for at, c := range edits {
		b[at] = c
	}
	return b
}

func TestRefusals(t *testing.T) {
	gpt, mbr := contents(t, "gpt"), contents(t, "mbr, logical")
	for name, tt := range map[string]struct {
		disk []byte
		want string
	}{
		"nothing":              {nil, "pass the end"},
		"zeros":                {make([]byte, mib), "no partition table"},
		"no partitions":        {damage(make([]byte, mib), map[int]byte{510: 0x55, 511: 0xaa}), "no partition table"},
		"header":               {damage(gpt, map[int]byte{512 + 60: 1}), "header is damaged"},
		"entries":              {damage(gpt, map[int]byte{1024 + 60: 1}), "entries are damaged"},
		"no header":            {damage(gpt, map[int]byte{512: 1}), "not there"},
		"cut GPT":              {gpt[:10*mib], "partition 1 has the sectors"},
		"cut MBR":              {mbr[:5*mib], "ends at byte"},
		"overlap":              {damage(mbr, map[int]byte{446 + 16 + 8: 0, 446 + 16 + 9: 9}), "overlap"},
		"a partition of none":  {damage(mbr, map[int]byte{446 + 14: 0, 446 + 13: 0, 446 + 12: 0}), "entry 1"},
		"a file system's code": {damage(mbr, map[int]byte{446: 0x12}), "entry 1"},
		"crowded header":       {forged(gpt, 80, 1<<31), "entries of"},
		"narrow entries":       {forged(gpt, 84, 64), "entries of"},
		"entries far away":     {forged(gpt, 76, 1<<30), "entries lie"},
		"entries past the end": {forged(gpt, 72, 1<<20), "pass the end"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read(bytes.NewReader(tt.disk), int64(len(tt.disk)), 0)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// forged is a GPT with another field and the checksum that fits it.
func forged(disk []byte, field int, v uint32) []byte {
	disk = bytes.Clone(disk)
	h := header{sector: disk[512:1024]}
	binary.LittleEndian.PutUint32(h.sector[field:], v)
	binary.LittleEndian.PutUint32(h.sector[atHeaderCRC:], h.checksum())
	return disk
}

func contents(t testing.TB, layout string) []byte {
	t.Helper()
	l := layouts[layout]
	b, err := os.ReadFile(image(t, l.size, l.script).Name())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// memory is a disk in memory.
type memory []byte

func (m memory) WriteAt(b []byte, at int64) (int, error) { return copy(m[at:], b), nil }
func (m memory) Sync() error                             { return nil }

// FuzzRead reads tables that are ours but for the first 2 KiB and the length.
// What is accepted takes another partition, or says why not, and is then read
// again with it.
func FuzzRead(f *testing.F) {
	const size = 8 * mib
	for _, script := range []string{"label: gpt\nsize=2MiB\nsize=1MiB\n", "label: dos\nsize=2MiB\nsize=1MiB,type=5\n"} {
		b, err := os.ReadFile(image(f, size, script).Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:2048], uint32(size), true)
	}
	f.Fuzz(func(t *testing.T, head []byte, n uint32, sums bool) {
		b := make(memory, min(n, size))
		copy(b, head)
		if sums && len(b) >= 512+16384+1024 {
			h := header{sector: b[512:1024]}
			if s := little.Uint32(h.sector[atHeaderSize:]); s >= headerSize && s <= 512 {
				count, each := little.Uint32(h.sector[atCount:]), little.Uint32(h.sector[atEntrySize:])
				if all := uint64(count) * uint64(each); all <= 16384 {
					little.PutUint32(h.sector[atEntriesCRC:], checksumOf(b[1024:1024+all]))
				}
				little.PutUint32(h.sector[atHeaderCRC:], h.checksum())
			}
		}
		table, err := Read(bytes.NewReader(b), int64(len(b)), 0)
		if err != nil {
			return
		}
		a, err := table.Append(New{Size: 1, Name: "config-2", ID: [16]byte{1}})
		if err != nil {
			return
		}
		if err := a.Commit(b); err != nil {
			t.Fatal(err)
		}
		again, err := Read(bytes.NewReader(b), int64(len(b)), 0)
		if err != nil {
			t.Fatal(err)
		}
		if want := append(table.Partitions, a.Partition); !cmp.Equal(want, again.Partitions) {
			t.Errorf("%+v, want %+v", again.Partitions, want)
		}
	})
}
