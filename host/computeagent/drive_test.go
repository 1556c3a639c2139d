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
