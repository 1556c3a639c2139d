package computeagent

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imprint/base/iso9660"
	"imprint/base/openstack"
	"imprint/base/vfat"
	"imprint/host/cloud"
	"imprint/host/configdrive"
)

// withDrive asks for a config drive that tells name; "" has no documents yet.
func withDrive(name string) func(*cloud.DesiredInstance) {
	return func(d *cloud.DesiredInstance) {
		d.ConfigDrive = true
		if name != "" {
			d.Drive = (&openstack.Instance{UUID: string(d.ID), Name: name}).Encode()
		}
	}
}

// told returns the name that the drive of instance id tells.
func (n *node) told(id string) string {
	n.t.Helper()
	f, err := os.Open(filepath.Join(n.dir, id, "disk.config"))
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		n.t.Fatal(err)
	}
	var drive fs.FS
	if drive, err = iso9660.Open(f, st.Size()); err != nil {
		drive, err = vfat.Open(f, st.Size())
	}
	if err != nil {
		n.t.Fatal(err)
	}
	b, err := fs.ReadFile(drive, "openstack/latest/meta_data.json")
	if err != nil {
		n.t.Fatal(err)
	}
	m, err := openstack.ParseMetaData(b)
	if err != nil {
		n.t.Fatal(err)
	}
	return m.Name
}

func TestDriveBeforeTheFirstBootAndKept(t *testing.T) {
	for _, format := range []configdrive.Format{configdrive.ISO9660, configdrive.VFAT} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t)
			n.onStart = func(d cloud.DesiredInstance) { n.note("its drive tells %s", n.told(string(d.ID))) }
			a, end := n.run(Config{Drive: configdrive.Volume{Format: format}})
			defer end()
			a.Apply(slice(instance("a", withDrive("one"))))
			n.expect("launch", "sweep instance but [p-a]", "tell a is building, reboot 0", "start a on host", "its drive tells one",
				"plug p-a as eth0, mtu 1450", "tell p-a is up: true", "tell a is active, reboot 0")
			a.Apply(slice(instance("a", withDrive("two"))))
			n.expect("other documents", "")
			a.Apply(slice(instance("a", withDrive("two"), rebooted(1, "HARD"))))
			n.expect("reboot", "stop a within 0s", "unplug p-a", "tell p-a is up: false", "start a on host", "its drive tells one",
				"plug p-a as eth0, mtu 1450", "tell p-a is up: true", "tell a is active, reboot 1")
			a.Apply(slice(instance("a", withDrive(""), rebooted(2, "HARD"))))
			if got := n.did(); !strings.Contains(got, "its drive tells one") {
				t.Errorf("reboot without documents:\n%s", got)
			}
		})
	}
}

func TestDriveWaitsForItsDocuments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.onStart = func(d cloud.DesiredInstance) { n.note("its drive tells %s", n.told(string(d.ID))) }
		a, end := n.run(Config{})
		defer end()
		a.Apply(slice(instance("a", withDrive(""))))
		n.expect("no documents yet", "sweep instance but [p-a]", "tell a is building, reboot 0")
		time.Sleep(driveWait / 2)
		a.Apply(slice(instance("a", withDrive("")), instance("b", off)))
		n.expect("still none", "tell b is stopped, reboot 0")
		time.Sleep(driveWait / 2)
		n.expect("overdue", "tell a is error, reboot 0: the documents of the config drive did not reach the node")
		a.Apply(slice(instance("a", withDrive("late")), instance("b", off)))
		n.expect("late", "tell a is building, reboot 0", "start a on host", "its drive tells late",
			"plug p-a as eth0, mtu 1450", "tell p-a is up: true", "tell a is active, reboot 0")
	})
}

func TestDriveThatCannotBeMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		a, end := n.run(Config{Drive: configdrive.Volume{Publisher: "two\nlines"}})
		defer end()
		a.Apply(slice(instance("a", withDrive(""), func(d *cloud.DesiredInstance) { d.Drive = json.RawMessage(`{"name":"x"}`) })))
		n.expect("documents", "sweep instance but [p-a]", "tell a is building, reboot 0",
			"tell a is error, reboot 0: the documents of the config drive are not in order")
		a.Apply(slice(instance("a", withDrive("one"))))
		n.expect("volume", "tell a is building, reboot 0", "tell a is error, reboot 0: the node could not make the config drive")
		a.Apply(slice(instance("a")))
		n.expect("none is wanted", "tell a is building, reboot 0", "start a on host",
			"plug p-a as eth0, mtu 1450", "tell p-a is up: true", "tell a is active, reboot 0")
		if left, err := filepath.Glob(filepath.Join(n.dir, "a", "disk.config*")); len(left) > 0 || err != nil {
			t.Errorf("left %v, %v", left, err)
		}
	})
}

// refreshed asks for a drive to be made anew for the nth time.
func refreshed(n int64) func(*cloud.DesiredInstance) {
	return func(d *cloud.DesiredInstance) { d.DriveGeneration = n }
}

// booted has the node boot instance a with a drive that tells one.
func booted(t *testing.T, c Config) (n *node, a *Agent, end func()) {
	n = newNode(t)
	n.onStart = func(d cloud.DesiredInstance) { n.note("its drive tells %s", n.told(string(d.ID))) }
	a, end = n.run(c)
	a.Apply(slice(instance("a", withDrive("one"))))
	n.did()
	return n, a, end
}

func TestDriveMadeAnewOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, end := booted(t, Config{})
		defer end()
		old, err := os.Open(filepath.Join(n.dir, "a", driveFile))
		if err != nil {
			t.Fatal(err)
		}
		defer old.Close()
		before, err := old.Stat()
		if err != nil {
			t.Fatal(err)
		}
		a.Apply(slice(instance("a", withDrive("two"), refreshed(1))))
		n.expect("while it runs", "")
		if got := n.told("a"); got != "two" {
			t.Errorf("the drive tells %s", got)
		}
		// What the instance has open is what it was.
		after, err := os.Stat(filepath.Join(n.dir, "a", driveFile))
		if err != nil || os.SameFile(before, after) {
			t.Errorf("the file was written over: %v", err)
		}
		a.Apply(slice(instance("a", withDrive("three"), refreshed(1))))
		n.expect("done already", "")
		if got := n.told("a"); got != "two" {
			t.Errorf("the drive tells %s", got)
		}
		a.Apply(slice(instance("a", withDrive("three"), refreshed(2), off)))
		n.did()
		if got := n.told("a"); got != "three" {
			t.Errorf("while it is down: %s", got)
		}
		a.Apply(slice(instance("a", withDrive(""), refreshed(3), off)))
		n.did()
		if got := n.told("a"); got != "three" {
			t.Errorf("without documents: %s", got)
		}
		if left, err := filepath.Glob(filepath.Join(n.dir, "a", driveFile+"?*")); len(left) > 0 || err != nil {
			t.Errorf("left %v, %v", left, err)
		}
	})
}

func TestDriveThatCannotBeMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, end := booted(t, Config{})
		defer end()
		bad := instance("a", refreshed(1))
		bad.ConfigDrive, bad.Drive = true, json.RawMessage(`{`)
		a.Apply(slice(bad))
		n.expect("it runs on", "")
		if got := n.told("a"); got != "one" {
			t.Errorf("the drive tells %s", got)
		}
		// What is in the way of the file goes away: the next attempt is by itself.
		beside := filepath.Join(n.dir, "a", driveFile+".new", "x")
		if err := os.MkdirAll(beside, 0o700); err != nil {
			t.Fatal(err)
		}
		a.Apply(slice(instance("a", withDrive("two"), refreshed(1))))
		n.did()
		if got := n.told("a"); got != "one" {
			t.Errorf("the drive tells %s", got)
		}
		if err := os.RemoveAll(filepath.Dir(beside)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(retryPause)
		n.did()
		if got := n.told("a"); got != "two" {
			t.Errorf("tried again: %s", got)
		}
	})
}

func TestDriveMadeAnewAtBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, end := booted(t, Config{RefreshDrives: true})
		defer end()
		for i, step := range []struct{ name, tells string }{{"one", "one"}, {"two", "two"}, {"", "two"}} {
			a.Apply(slice(instance("a", withDrive(step.name), rebooted(int64(i+1), "SOFT"))))
			if got := n.did(); !strings.Contains(got, "its drive tells "+step.tells+"\n") {
				t.Errorf("boot %d:\n%s", i+1, got)
			}
			_, err := os.Stat(filepath.Join(n.dir, "a", driveFile))
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A drive that was cut off is not booted with.
func TestDriveCutOff(t *testing.T) {
	for name, left := range map[string]int64{"nothing": 0, "half": 40 << 10} {
		synctest.Test(t, func(t *testing.T) {
			n, a, end := booted(t, Config{})
			defer end()
			if err := os.Truncate(filepath.Join(n.dir, "a", driveFile), left); err != nil {
				t.Fatal(err)
			}
			a.Apply(slice(instance("a", withDrive("two"), rebooted(1, "HARD"))))
			if got := n.did(); !strings.Contains(got, "its drive tells two\n") {
				t.Errorf("%s is left:\n%s", name, got)
			}
		})
	}
}
