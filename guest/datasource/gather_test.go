package datasource

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imprint/guest/datasource/identify"
)

// blkid of util-linux sees the same labels.
func TestVolumesAsBlkid(t *testing.T) {
	dir := t.TempDir()
	made := func(name string, program ...string) []byte {
		t.Helper()
		file := filepath.Join(dir, name)
		for n, arg := range program {
			program[n] = strings.ReplaceAll(arg, "FILE", file)
		}
		if out, err := exec.Command(program[0], program[1:]...).CombinedOutput(); err != nil {
			t.Skipf("%s: %v %s", program[0], err, out)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, image := range map[string][]byte{
		"iso":            iso(t, "config-2", driveTree()),
		"fat":            fat(t, "cidata", driveTree()),
		"iso of nova":    captured(t, "c2"),
		"genisoimage":    made("gen.iso", "genisoimage", "-quiet", "-J", "-r", "-V", "cidata", "-o", "FILE", "testdata"),
		"fat12":          made("fat12", "mkfs.vfat", "-C", "-n", "CIDATA", "-F", "12", "FILE", "1440"),
		"fat32":          made("fat32", "mkfs.vfat", "-C", "-n", "config-2", "-F", "32", "FILE", "40000"),
		"fat, no label":  made("fat16", "mkfs.vfat", "-C", "-F", "16", "FILE", "20000"),
		"nothing at all": make([]byte, 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "image")
			if err := os.WriteFile(file, image, 0o600); err != nil {
				t.Fatal(err)
			}
			out, _ := exec.Command("/sbin/blkid", "-p", "-o", "export", file).Output()
			var want []identify.Volume
			for line := range strings.Lines(string(out)) {
				key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
				value = strings.ReplaceAll(value, "\\ ", " ")
				if len(want) == 0 {
					want = append(want, identify.Volume{Device: "/dev/sr0"})
				}
				switch key {
				case "TYPE":
					want[0].Type = value
				case "LABEL", "LABEL_FATBOOT":
					want[0].Labels = append(want[0].Labels, value)
				case "UUID":
					want[0].UUID = value
				}
			}
			got := volumesOf(Env{Disks: disks{"/dev/sr0": image}})
			for n := range got {
				if got[n].Type == "iso9660" {
					got[n].UUID = want[0].UUID // made of its dates, and of no use
				}
			}
			for _, all := range [][]identify.Volume{got, want} {
				for n := range all {
					slices.Sort(all[n].Labels)
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
