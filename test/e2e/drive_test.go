package e2e

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
)

// TestDriveRefresh: the config drive of a running server is made anew when its
// owner asks for it, by the stock credentials or the state directory's; a rebuild
// makes it anew too, with the disk, and the guest boots for the first time again.
func TestDriveRefresh(t *testing.T) {
	needRoot(t)
	const port = 15190
	dir := stateDir(t)
	up(t, "--state-dir", dir, "--config", configuration(t, "e2f-", port, "compute: {force_config_drive: true, config_drive_format: vfat}\n"))
	u := newTenant(t, dir, port)
	server, _ := u.launch("c1")
	u.active(server)
	drive := filepath.Join(dir, "instances", server, "disk.config")
	if out, status := imprint(t, 10*time.Second, "configdrive", "verify", drive); status != 0 {
		t.Fatalf("verify: status %d: %s", status, out)
	}
	told := func() string {
		out, _ := imprint(t, 10*time.Second, "configdrive", "show", drive, "openstack/latest/meta_data.json")
		return out
	}
	const property = `"meta": {"color": "green"}`
	must[map[string]string](u, "set a property")(servers.UpdateMetadata(t.Context(), u.compute, server, servers.MetadataOpts{"color": "green"}).Extract())
	if got := told(); !strings.Contains(got, server) || strings.Contains(got, property) {
		t.Errorf("before: %s", got)
	}
	out, status := imprint(t, 20*time.Second, "configdrive", "refresh", "--state-dir", dir, "c1")
	if status != 0 || !strings.Contains(out, "at its next boot") {
		t.Fatalf("refresh: status %d: %s", status, out)
	}
	tick, limit := time.NewTicker(50*time.Millisecond), time.After(20*time.Second)
	defer tick.Stop()
	for !strings.Contains(told(), property) {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("after: %s", told())
		}
	}
	password, err := os.ReadFile(filepath.Join(dir, "secrets", "admin.password"))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"AUTH_URL": "http://127.0.0.1:15190/v3", "USERNAME": "admin",
		"PASSWORD": strings.TrimSpace(string(password)), "PROJECT_NAME": "admin", "REGION_NAME": "RegionOne"} {
		t.Setenv("OS_"+name, value)
	}
	if out, status := imprint(t, 20*time.Second, "configdrive", "refresh", "--json", server); status != 0 || out != `{"server":"`+server+"\"}\n" {
		t.Errorf("refresh by id: status %d: %s", status, out)
	}
	if out, status := imprint(t, 20*time.Second, "configdrive", "refresh", "c2"); status != 1 || !strings.Contains(out, "there is no server c2") {
		t.Errorf("refresh of none: status %d: %s", status, out)
	}
	if got := u.status(server); got != "ACTIVE" {
		t.Errorf("the server is %s", got)
	}

	addresses := func() any {
		return must[*servers.Server](u, "show server")(servers.Get(t.Context(), u.compute, server).Extract()).Addresses
	}
	kept, semaphores := addresses(), firstBoot(t, dir, server)
	mark := filepath.Join(dir, "instances", server, "disk", "upper", "mark")
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	must[map[string]string](u, "set a property")(servers.UpdateMetadata(t.Context(), u.compute, server, servers.MetadataOpts{"color": "blue"}).Extract())
	image := must[*servers.Server](u, "show server")(servers.Get(t.Context(), u.compute, server).Extract()).Image["id"].(string)
	if got := must[*servers.Server](u, "rebuild")(servers.Rebuild(t.Context(), u.compute, server, servers.RebuildOpts{ImageRef: image}).Extract()); got.Status != "REBUILD" {
		t.Errorf("the answer says %s", got.Status)
	}
	u.active(server)
	if _, err := os.Lstat(mark); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the disk is the old one: %v", err)
	}
	if got := told(); !strings.Contains(got, `"meta": {"color": "blue"}`) {
		t.Errorf("the drive of the rebuilt one: %s", got)
	}
	if out, status := imprint(t, 10*time.Second, "configdrive", "verify", drive); status != 0 {
		t.Errorf("verify: status %d: %s", status, out)
	}
	if got := addresses(); !reflect.DeepEqual(got, kept) {
		t.Errorf("addresses %v, before %v", got, kept)
	}
	if again := firstBoot(t, dir, server); again.Equal(semaphores) {
		t.Error("there was no first boot")
	}
}

// firstBoot waits for the semaphores of what a guest does once, and tells when
// the first of them was made.
func firstBoot(t *testing.T, dir, server string) (first time.Time) {
	t.Helper()
	pattern := filepath.Join(dir, "instances", server, "disk", "upper", "var", "lib", "cloud", "instances", "*", "sem", "*")
	tick, limit := time.NewTicker(50*time.Millisecond), time.After(30*time.Second)
	defer tick.Stop()
	for {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			st, err := os.Stat(found[0])
			if err != nil {
				t.Fatal(err)
			}
			return st.ModTime()
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("the guest did nothing")
		}
	}
}
