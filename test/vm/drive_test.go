//go:build vm

package vm

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/base/openstack"
	"imprint/host/configdrive"
)

// peers is the directory of the scripts that build and boot the guest.
func peers(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("IMPRINT_PEERS")
	if dir == "" {
		t.Fatal("IMPRINT_PEERS does not name the directory of guest/build-image and guest/boot-vm")
	}
	return filepath.Join(dir, "guest")
}

// script runs one of the peers' scripts and returns what it prints.
func script(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(peers(t), name), args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// boot boots a guest that records itself and powers off, and returns the
// directory of its record.
func boot(t *testing.T, args ...string) string {
	t.Helper()
	out := t.TempDir()
	script(t, "boot-vm", append([]string{"--image", "full", "--meter", "--net", "none", "--timeout", "540", "--out", out}, args...)...)
	return filepath.Join(out, "var-oracle")
}

const uuid = "ac4d5b9f-3064-43fd-b44c-78c3b4440892"

func instance() *openstack.Instance {
	return &openstack.Instance{
		UUID: uuid, Name: "c3", Hostname: "c3.novalocal", UserData: []byte("#cloud-config\nwrite_files:\n- {path: /root/told, content: by the drive}\n"),
		EC2:   openstack.EC2{InstanceID: "i-00000003"},
		Files: []openstack.InjectedFile{{Path: "/etc/one.conf", Content: []byte("file one\n")}},
		Ports: []openstack.Port{},
	}
}

// odd is a tree with the names and sizes that file systems stumble over.
func odd() fstest.MapFS {
	files := fstest.MapFS{}
	add := func(name, content string) { files[name] = &fstest.MapFile{Data: []byte(content)} }
	add("empty", "")
	add("UPPER.TXT", "upper")
	add("Mixed Case.json", "mixed")
	add(strings.Repeat("n", 98)+".long", "long")
	add("žluťoučký kůň", "UTF-8")
	add("one/two/three/four/five/six/seven/eight/nine/deep", "deep")
	add("large", strings.Repeat("0123456789abcdef", 300_000))
	for i := range 200 {
		add(fmt.Sprintf("many/configuration-%03d.json", i), fmt.Sprint(i))
	}
	return files
}

// lines is a tree as the guest's script prints it.
func lines(t *testing.T, fsys fs.FS) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(fsys, name)
		all["./"+name] = fmt.Sprintf("%x", sha256.Sum256(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// look is run in the guest: it mounts each disk with the kernel's own file
// system and prints type, label, modes and contents.
const look = `#!/bin/bash
for disk in /dev/vd[b-z]; do
	echo "disk $(blkid -p -s TYPE -o value $disk) $(blkid -p -s LABEL -o value $disk)"
	mkdir -p /mnt$disk
	mount -o ro,iocharset=utf8 $disk /mnt$disk || { echo "mount failed"; continue; }
	cd /mnt$disk
	find . -type f -print0 | sort -z | xargs -0 sha256sum -b
	stat -c 'mode %a %u:%g %F' .
	cd /
	umount $disk
done
dmesg | grep -iE 'isofs|iso9660|FAT-fs|vfat' | sed 's/^/kernel /'
true
`

func write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// drive makes a drive as a file.
func drive(t *testing.T, m *configdrive.Image, err error) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "drive")
	if err == nil {
		err = m.WriteFile(name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// TestKernelReadsDrives boots a guest with the real cloud-init: it takes its
// config drive, and its kernel mounts that and volumes with odd trees.
func TestKernelReadsDrives(t *testing.T) {
	volumes := []configdrive.Volume{
		{Label: "odd-iso"}, {Format: configdrive.VFAT, Label: "odd-fat16"}, {Format: configdrive.VFAT, Label: "odd-fat32", FAT32: true},
	}
	m, err := configdrive.Volume{Publisher: "Imprint", Created: time.Now()}.Instance(instance())
	own := drive(t, m, err)
	args := []string{"--extra-capture", write(t, "look", look, 0o755), "--seed-image", own}
	for _, v := range volumes {
		v.Created = time.Now()
		m, err := v.Tree(odd())
		args = append(args, "--seed-image", drive(t, m, err))
	}
	record := boot(t, args...)
	checkCloudInit(t, record, "/dev/vdb")

	seen, modes, kernel := readLook(t, filepath.Join(record, "extra"))
	f, err := os.Open(own)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	opened, err := configdrive.Open(f, st.Size())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]map[string]string{"iso9660 config-2": lines(t, opened)}
	for n, typ := range []string{"iso9660", "vfat", "vfat"} {
		want[typ+" "+volumes[n].Label] = lines(t, odd())
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("-ours +the kernel's\n%s\n%s", diff, kernel)
	}
	if got := modes["iso9660 odd-iso"]; got != "555 0:0 directory" {
		t.Errorf("the root of the ISO 9660 volume: %s", got)
	}
	for _, complaint := range []string{"error", "corrupt", "invalid", "not properly"} {
		if strings.Contains(strings.ToLower(kernel), complaint) {
			t.Errorf("the kernel says:\n%s", kernel)
		}
	}
}

// readLook reads what the script printed: contents and root modes by type and
// label, and the kernel's messages.
func readLook(t *testing.T, name string) (seen map[string]map[string]string, modes map[string]string, kernel string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen, modes = map[string]map[string]string{}, map[string]string{}
	disk := ""
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		switch word, rest, _ := strings.Cut(line, " "); word {
		case "disk":
			disk = rest
			seen[disk] = map[string]string{}
		case "mode":
			modes[disk] = rest
		case "kernel":
			kernel += rest + "\n"
		default:
			seen[disk][strings.TrimPrefix(rest, "*")] = word
		}
	}
	return seen, modes, kernel
}

// checkCloudInit checks that the real cloud-init took the instance from the
// config drive on a device.
func checkCloudInit(t *testing.T, record, device string) {
	t.Helper()
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(record, name))
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	if got := read("ci-status"); !strings.Contains(got, "status: done\n") || !strings.Contains(got, "\nDataSourceConfigDrive [net,ver=2][source="+device+"]\n") {
		t.Errorf("cloud-init says:\n%s", got)
	}
	if got := strings.TrimSpace(read("hostname")); got != "c3" {
		t.Errorf("the host name is %q", got)
	}
	if got := read("run-cloud-init/instance-data.json"); !strings.Contains(got, uuid) {
		t.Errorf("instance-data.json does not know %s", uuid)
	}
}

// TestCloudInitFindsTheLastPartition: a disk that imprint bare-metal write made
// of the guest's image boots, and the real cloud-init finds the drive on it.
func TestCloudInitFindsTheLastPartition(t *testing.T) {
	image, err := os.Open(script(t, "build-image", "--path", "disk-full"))
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	name := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, 4<<30); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", t.TempDir(), "imprint/cmd/imprint")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	description := write(t, "instance.json", string(instance().Encode()), 0o600)
	out, err := exec.Command(filepath.Join(build.Args[3], "imprint"), "bare-metal", "write", "--format", "vfat",
		"--image", image.Name(), "--disk", name, description).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	record := boot(t, "--disk", name)
	checkCloudInit(t, record, "/dev/vda2")
}
