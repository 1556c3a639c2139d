package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
)

// smallDisk mounts a file system of some MiB of its own.
func smallDisk(t *testing.T, mib int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("imprint-e2e", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0700", mib)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fill takes all space that is left.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zeros := make([]byte, 1<<20)
	for err == nil {
		_, err = f.Write(zeros)
	}
	if !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		t.Fatal(err)
	}
}

// TestFullDisk: while the disk is full, what would be written is refused with
// the reason and what is there can be read; afterwards all goes on, and what
// was acknowledged is there.
func TestFullDisk(t *testing.T) {
	needRoot(t)
	const port = 15160
	disk := smallDisk(t, 320)
	dir := filepath.Join(disk, "state")
	args := []string{"--state-dir", dir, "--config", configuration(t, "e2f-", port, "")}
	first := up(t, args...)
	u := newTenant(t, dir, port)
	u.network.ProviderClient.HTTPClient = http.Client{Timeout: time.Minute}
	network := func(name string) error {
		_, err := networks.Create(u.Context(), u.network, networks.CreateOpts{Name: name}).Extract()
		return err
	}
	if err := network("before"); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(disk, "filler")
	fill(t, filler)
	if err := network("meanwhile"); err == nil || !strings.Contains(err.Error(), "the store's disk is full") {
		t.Errorf("on a full disk: %v", err)
	}
	if got := networkNames(u); got != "before" {
		t.Errorf("networks on a full disk: %s", got)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := network("after"); err != nil {
		t.Errorf("after there is space again: %v", err)
	}
	first.stop(t)

	fill(t, filler)
	out, status := imprint(t, time.Minute, append([]string{"up"}, args...)...)
	if status != 1 || !strings.Contains(out, dir) || !strings.Contains(out, "full") && !strings.Contains(out, syscall.ENOSPC.Error()) {
		t.Errorf("a start on a full disk: %d %s", status, out)
	}
	os.Remove(filler)
	second := up(t, args...)
	if got := networkNames(newTenant(t, dir, port)); got != "after before" {
		t.Errorf("networks in the end: %s", got)
	}
	second.stop(t)
}

// networkNames are the names of all networks, in order.
func networkNames(u *tenant) string {
	u.Helper()
	pages, err := networks.List(u.network, networks.ListOpts{SortKey: "name", SortDir: "asc"}).AllPages(u.Context())
	if err != nil {
		u.Fatal(err)
	}
	found, err := networks.ExtractNetworks(pages)
	if err != nil {
		u.Fatal(err)
	}
	var names []string
	for _, n := range found {
		names = append(names, n.Name)
	}
	return strings.Join(names, " ")
}

// TestReadOnlyStateDirectory: a start says what it cannot write, and what is
// there stays as it is.
func TestReadOnlyStateDirectory(t *testing.T) {
	needRoot(t)
	const port = 15180
	disk := smallDisk(t, 320)
	dir := filepath.Join(disk, "state")
	args := []string{"--state-dir", dir, "--config", configuration(t, "e2w-", port, "")}
	up(t, args...).stop(t)
	before := tree(t, dir)
	if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	out, status := imprint(t, time.Minute, append([]string{"up"}, args...)...)
	if status != 1 || !strings.Contains(out, dir) || !strings.Contains(out, syscall.EROFS.Error()) {
		t.Errorf("a start on a read-only file system: %d %s", status, out)
	}
	if after := tree(t, dir); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	up(t, args...).stop(t)
}

// tree lists the files below dir with their sizes and times.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			fmt.Fprintln(&b, path, info.Mode(), info.Size(), info.ModTime().UnixNano())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
