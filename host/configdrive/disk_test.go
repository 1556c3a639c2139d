package configdrive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imprint/base/partition"
)

const mib = 1 << 20

// tool runs a peer. One that is missing skips the test; in continuous
// integration it fails it.
func tool(t testing.TB, stdin, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing", name)
	}
	if err != nil {
		t.Skipf("%s is missing", name)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MTOOLSRC=/dev/null")
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

const gptScript, mbrScript = "label: gpt\nsize=20MiB\n", "label: dos\nsize=20MiB, bootable\n"

// diskImage makes a partitioned disk with something in its first partition and
// junk behind it.
func diskImage(t testing.TB, size int64, script string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "disk.img")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	tool(t, script, "sfdisk", "--quiet", "--wipe", "never", name)
	for at, c := range map[int64]byte{mib: 'r', size - 6*mib: 'j'} {
		if _, err := f.WriteAt(bytes.Repeat([]byte{c}, 5*mib), at); err != nil {
			t.Fatal(err)
		}
	}
	return name
}

func openDisk(t testing.TB, name string) *Disk {
	t.Helper()
	d, err := OpenDisk(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func plan(t testing.TB, v Volume) *Image {
	t.Helper()
	m, err := v.Instance(example())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAppendAsOthersSeeIt(t *testing.T) {
	for name, script := range map[string]string{"gpt": gptScript, "mbr": mbrScript} {
		for _, format := range []Format{ISO9660, VFAT} {
			t.Run(name+" "+string(format), func(t *testing.T) {
				disk := diskImage(t, 100*mib, script)
				d := openDisk(t, disk)
				m := plan(t, Volume{Format: format, Random: zeros{}, Created: created})
				placed, err := d.Append(m, Placing{})
				if err != nil {
					t.Fatal(err)
				}
				if placed.Number != 2 || placed.Start%mib != 0 || string(placed.Scheme) != name {
					t.Errorf("%+v", placed)
				}
				if out := tool(t, "", "sfdisk", "--verify", disk); !strings.Contains(out, "No errors detected") {
					t.Errorf("sfdisk --verify: %s", out)
				}
				if name == "gpt" {
					if out := tool(t, "", "sgdisk", "-v", disk); !strings.Contains(out, "No problems found") {
						t.Errorf("sgdisk -v: %s", out)
					}
				}
				out := tool(t, "", "blkid", "--probe", "--output", "export", "--offset", fmt.Sprint(placed.Start), "--size", fmt.Sprint(placed.Size), disk)
				if !strings.Contains(out, "\nLABEL=config-2\n") || !strings.Contains(out, "\nTYPE="+string(format)+"\n") {
					t.Errorf("blkid: %s", out)
				}
				whole, err := os.ReadFile(disk)
				if err != nil {
					t.Fatal(err)
				}
				var volume bytes.Buffer
				if _, err := plan(t, Volume{Format: format, Random: zeros{}, Created: created}).WriteTo(&volume); err != nil {
					t.Fatal(err)
				}
				want := make([]byte, placed.Size)
				copy(want, volume.Bytes())
				if !bytes.Equal(whole[placed.Start:placed.Start+placed.Size], want) {
					t.Error("the partition is not the volume and zeros")
				}
				if !bytes.Equal(whole[mib:6*mib], bytes.Repeat([]byte("r"), 5*mib)) {
					t.Error("the first partition has changed")
				}
				found, err := Open(bytes.NewReader(whole), int64(len(whole)))
				if err != nil || found.Partition != 2 || found.Format != format || len(found.Verify()) > 0 {
					t.Fatalf("%+v, %v", found, err)
				}
			})
		}
	}
}

func TestAppendRefused(t *testing.T) {
	small := diskImage(t, 28*mib, gptScript)
	if err := os.Truncate(small, 23*mib); err != nil {
		t.Fatal(err)
	}
	tool(t, "", "sgdisk", "-e", small)
	unpartitioned := filepath.Join(t.TempDir(), "none")
	if err := os.WriteFile(unpartitioned, make([]byte, mib), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		disk string
		want error
	}{
		"no room":  {small, partition.ErrNoRoom},
		"no table": {unpartitioned, partition.ErrNoTable},
	} {
		t.Run(name, func(t *testing.T) {
			before, err := os.ReadFile(tt.disk)
			if err != nil {
				t.Fatal(err)
			}
			_, err = openDisk(t, tt.disk).Append(plan(t, Volume{Format: VFAT}), Placing{})
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.disk) {
				t.Error(err)
			}
			if after, err := os.ReadFile(tt.disk); err != nil || !bytes.Equal(before, after) {
				t.Errorf("the image is another: %v", err)
			}
		})
	}
}

func TestAppendGrows(t *testing.T) {
	for name, script := range map[string]string{"gpt": gptScript, "mbr": mbrScript} {
		disk := diskImage(t, 28*mib, script)
		d := openDisk(t, disk)
		placed, err := d.Append(plan(t, Volume{Format: VFAT}), Placing{Grow: true})
		if err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(disk); err != nil || st.Size() != d.Size() || d.Size() > 94*mib || placed.Start+placed.Size > d.Size() {
			t.Errorf("%s: %d bytes, %+v, %v", name, d.Size(), placed, err)
		}
		if out := tool(t, "", "sfdisk", "--verify", disk); !strings.Contains(out, "No errors detected") {
			t.Errorf("sfdisk --verify: %s", out)
		}
		if _, err := d.Drive(placed); err != nil {
			t.Error(err)
		}
	}
}

func TestCopyToADisk(t *testing.T) {
	image, err := os.Open(diskImage(t, 28*mib, gptScript))
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	d := openDisk(t, diskImage(t, 120*mib+512, gptScript))
	m := plan(t, Volume{Format: VFAT})
	size, err := d.CheckImage(image, m)
	if err != nil || size != 28*mib {
		t.Fatal(size, err)
	}
	told := int64(0)
	progress := func(done, total int64) {
		if done <= told || total != size {
			t.Errorf("%d of %d after %d", done, total, told)
		}
		told = done
	}
	if err := d.Copy(t.Context(), image, size, progress); err != nil || told != size {
		t.Fatal(told, err)
	}
	placed, err := d.Append(m, Placing{})
	if err != nil {
		t.Fatal(err)
	}
	if out := tool(t, "", "sgdisk", "-v", d.Name()); !strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk -v: %s", out)
	}
	quiet := func(int64, int64) {}
	if err := d.Compare(t.Context(), image, size, placed, quiet); err != nil {
		t.Error(err)
	}
	if _, err := d.WriteAt([]byte("x"), 3*mib+7); err != nil {
		t.Fatal(err)
	}
	if err := d.Compare(t.Context(), image, size, placed, quiet); err == nil || !strings.Contains(err.Error(), fmt.Sprint("byte ", 3*mib+7)) {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Copy(ended, image, size, quiet); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestImagesThatAreNotCopied(t *testing.T) {
	for name, tt := range map[string]struct {
		head string
		size int64
		want string
	}{
		"qcow2":      {"QFI\xfb", mib, "qcow2, not raw"},
		"gzip":       {"\x1f\x8b\x08", mib, "gzip, not raw"},
		"too large":  {"", 200 * mib, "bytes, disk"},
		"no table":   {"", mib, "no partition table"},
		"empty":      {"", 0, "pass the end"},
		"no room":    {"gpt", 60 * mib, "no room"},
		"the disk's": {"same", 0, "image and disk at once"},
	} {
		t.Run(name, func(t *testing.T) {
			disk := diskImage(t, 70*mib, gptScript)
			file := filepath.Join(t.TempDir(), "image")
			switch tt.head {
			case "gpt":
				file = diskImage(t, tt.size, "label: gpt\nsize=50MiB\n")
			case "same":
				file = disk
			default:
				if err := os.WriteFile(file, []byte(tt.head), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Truncate(file, tt.size); err != nil {
					t.Fatal(err)
				}
			}
			image, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer image.Close()
			if _, err := openDisk(t, disk).CheckImage(image, plan(t, Volume{Format: VFAT})); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// A loop device is a disk as the kernel has it: in use by one, and with
// partitions of its own, if the kernel knows tables.
func TestBlockDevice(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	name := diskImage(t, 100*mib, gptScript)
	loop := strings.TrimSpace(tool(t, "", "losetup", "--find", "--show", "--partscan", name))
	t.Cleanup(func() { exec.Command("/usr/sbin/losetup", "--detach", loop).Run() })
	second := "/sys/class/block/" + filepath.Base(loop) + "/" + filepath.Base(loop) + "p2"
	_, err := os.Stat(strings.TrimSuffix(second, "2") + "1")
	knows := err == nil
	d, err := OpenDisk(loop)
	if err != nil {
		t.Fatal(err)
	}
	if d.Size() != 100*mib || !d.Device() {
		t.Errorf("%d bytes, device %v", d.Size(), d.Device())
	}
	if _, err := OpenDisk(loop); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("opened twice: %v", err)
	}
	if _, err := d.Append(plan(t, Volume{}), Placing{}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Reread(), d.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(second); knows && err != nil {
		t.Errorf("the kernel has no second partition: %v", err)
	}
}

func TestNotADisk(t *testing.T) {
	for _, name := range []string{t.TempDir(), "/dev/null", filepath.Join(t.TempDir(), "none")} {
		if d, err := OpenDisk(name); err == nil {
			d.Close()
			t.Errorf("%s was opened", name)
		}
	}
}

// The tree of a drive that was appended is that of a drive in a file.
func TestAppendedTree(t *testing.T) {
	d := openDisk(t, diskImage(t, 100*mib, mbrScript))
	placed, err := d.Append(plan(t, Volume{Random: zeros{}}), Placing{})
	if err != nil {
		t.Fatal(err)
	}
	drive, err := d.Drive(placed)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "disk.config")
	if err := (Volume{Random: zeros{}}).WriteFile(name, example()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(contents(t, open(t, ISO9660, name)), contents(t, fs.FS(drive))); diff != "" {
		t.Error(diff)
	}
}
