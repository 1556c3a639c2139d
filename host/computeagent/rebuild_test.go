package computeagent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imprint/host/cloud"
)

// rebuilt asks for the nth rebuild.
func rebuilt(n int64) func(*cloud.DesiredInstance) {
	return func(d *cloud.DesiredInstance) { d.RebuildGeneration = n }
}

// guest boots as an instance does: what it does once per instance it notes on
// its disk, by a semaphore.
func (n *node) guest(d cloud.DesiredInstance) {
	n.note("its drive tells %s", n.told(string(d.ID)))
	sem := filepath.Join(n.dir, string(d.ID), "disk", "sem")
	if _, err := os.Stat(sem); err == nil {
		n.note("boots again")
		return
	}
	n.note("first boot")
	if err := os.MkdirAll(sem, 0o700); err != nil {
		n.t.Error(err)
	}
}

// guests is a node on which instance a runs, with a drive that tells one.
func guests(t *testing.T) (n *node, a *Agent, end func()) {
	n = newNode(t)
	n.onStart = n.guest
	a, end = n.run(Config{})
	a.Apply(slice(instance("a", withDrive("one"))))
	n.expect("launch", "sweep instance but [p-a]", "tell a is building, reboot 0", "start a on host", "its drive tells one", "first boot",
		"plug p-a as eth0, mtu 1450", "tell p-a is up: true", "tell a is active, reboot 0")
	return n, a, end
}

func tree(name string) func(*cloud.DesiredInstance) {
	return func(d *cloud.DesiredInstance) { d.Tree = name }
}

func TestRebuild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, end := guests(t)
		defer end()
		a.Apply(slice(instance("a", withDrive("one"), rebooted(1, "HARD"))))
		n.expect("reboot", "stop a within 0s", "unplug p-a", "tell p-a is up: false", "start a on host", "its drive tells one", "boots again",
			"plug p-a as eth0, mtu 1450", "tell p-a is up: true", "tell a is active, reboot 1")
		a.Apply(slice(instance("a", withDrive("two"), refreshed(1), rebooted(1, "HARD"), rebuilt(1), tree("bookworm"))))
		n.expect("of another image", "stop a within 20s", "destroy a", "unplug p-a", "tell p-a is up: false",
			"start a on /trees/bookworm", "its drive tells two", "first boot",
			"plug p-a as eth0, mtu 1450", "tell p-a is up: true", "tell a is active, reboot 1, rebuild 1")
		a.Apply(slice(instance("a", withDrive("three"), refreshed(1), rebooted(1, "HARD"), rebuilt(1), tree("bookworm"))))
		n.expect("done already", "")
		a.Apply(slice(instance("a", withDrive("three"), refreshed(1), rebooted(2, "SOFT"), rebuilt(1), tree("bookworm"))))
		n.expect("reboot of the new one", "stop a within 20s", "unplug p-a", "tell p-a is up: false",
			"start a on /trees/bookworm", "its drive tells two", "boots again",
			"plug p-a as eth0, mtu 1450", "tell p-a is up: true", "tell a is active, reboot 2, rebuild 1")
	})
}

func TestRebuildOfOneThatIsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, end := guests(t)
		defer end()
		a.Apply(slice(instance("a", withDrive("one"), rebooted(1, "HARD"))))
		n.did()
		a.Apply(slice(instance("a", withDrive("one"), rebooted(1, "HARD"), off)))
		n.did()
		a.Apply(slice(instance("a", withDrive("two"), refreshed(1), rebuilt(1), rebooted(1, "HARD"), off)))
		n.expect("it stays off", "stop a within 20s", "destroy a", "tell a is stopped, reboot 1, rebuild 1")
		a.Apply(slice(instance("a", withDrive("two"), refreshed(1), rebuilt(1), rebooted(2, "HARD"))))
		n.expect("on", "start a on host", "its drive tells two", "first boot",
			"plug p-a as eth0, mtu 1450", "tell p-a is up: true", "tell a is active, reboot 2, rebuild 1")
	})
}

// The old documents make no new drive: the instance waits for those that the
// rebuild asked for.
func TestRebuildWaitsForItsDocuments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, end := guests(t)
		defer end()
		a.Apply(slice(instance("a", withDrive(""), refreshed(1), rebuilt(1))))
		n.expect("no documents yet", "stop a within 20s", "destroy a", "unplug p-a", "tell p-a is up: false")
		time.Sleep(driveWait)
		n.expect("overdue", "tell a is error, reboot 0, rebuild 1: the documents of the config drive did not reach the node")
		a.Apply(slice(instance("a", withDrive(""), refreshed(2), rebuilt(2))))
		n.expect("asked again, it waits again", "stop a within 20s", "destroy a")
		a.Apply(slice(instance("a", withDrive("two"), refreshed(2), rebuilt(2))))
		n.expect("documents", "start a on host", "its drive tells two", "first boot",
			"plug p-a as eth0, mtu 1450", "tell p-a is up: true", "tell a is active, reboot 0, rebuild 2")
	})
}

func TestRebuildOfOneThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, end := guests(t)
		defer end()
		a.Apply(slice(instance("a", withDrive("two"), rebuilt(1), tree("none"))))
		n.expect("a tree that the node lacks", "stop a within 20s", "destroy a", "unplug p-a", "tell p-a is up: false",
			`tell a is error, reboot 0, rebuild 1: the image names the tree "none", which this node does not have`)
		n.fail("a", errBroken)
		a.Apply(slice(instance("a", withDrive("three"), rebuilt(2))))
		n.expect("a disk that cannot be removed", "stop a within 20s", "destroy a",
			"tell a is error, reboot 0, rebuild 2: the node could not run the instance; its log says why")
		n.fail("a", nil)
		a.Apply(slice(instance("a", withDrive("four"), rebuilt(3))))
		n.expect("asked again", "stop a within 20s", "destroy a", "start a on host", "its drive tells four", "first boot",
			"plug p-a as eth0, mtu 1450", "tell p-a is up: true", "tell a is active, reboot 0, rebuild 3")
	})
}

// cuts are the states in which an agent that is killed may leave a rebuild.
var cuts = map[string]func(n *node, dir string) error{
	"asked": func(*node, string) error { return nil },
	"halted": func(n *node, _ string) error {
		n.set("a", cloud.InstanceStopped)
		return nil
	},
	"disk half removed": func(n *node, dir string) error {
		n.set("a", cloud.InstanceStopped)
		return os.Remove(filepath.Join(dir, "instance.json"))
	},
	"removed": func(n *node, dir string) error {
		n.set("a", cloud.InstanceBuilding)
		return os.RemoveAll(dir)
	},
	"removal noted": func(n *node, dir string) error {
		n.set("a", cloud.InstanceBuilding)
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		w := &worker{agent: New(Config{Dir: n.dir}), id: "a"}
		return w.remember(memory{Phase: phaseResume, Rebuilt: 1})
	},
}

func TestRebuildCutOff(t *testing.T) {
	for name, cut := range cuts {
		for _, power := range []cloud.Power{cloud.PowerOn, cloud.PowerOff} {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t)
				n.onStart = n.guest
				a, end := n.run(Config{KeepInstances: func() bool { return true }})
				a.Apply(slice(instance("a", withDrive("one"))))
				n.did()
				end()
				if err := cut(n, filepath.Join(n.dir, "a")); err != nil {
					t.Fatal(err)
				}
				a, end = n.run(Config{})
				defer end()
				d := instance("a", withDrive("two"), refreshed(1), rebuilt(1))
				d.Power = power
				a.Apply(slice(d))
				log := n.did()
				now, _, _ := n.Status("a")
				if (now == cloud.InstanceActive) != (power == cloud.PowerOn) {
					t.Errorf("%s, to be %s: it is %s after\n%s", name, power, now, log)
				}
				if power == cloud.PowerOff {
					if n.plugged["p-a"] && name != "removal noted" { // which unplugs first
						t.Errorf("%s: the port is left", name)
					}
					d.Power = cloud.PowerOn
					a.Apply(slice(d))
					log += "\n" + n.did()
				}
				if got := n.told("a"); got != "two" {
					t.Errorf("%s, to be %s: the drive tells %s", name, power, got)
				}
				if strings.Count(log, "first boot") != 1 || strings.Contains(log, "boots again") {
					t.Errorf("%s, to be %s:\n%s", name, power, log)
				}
				time.Sleep(retryPause)
				n.expect("nothing is left to do", "")
			})
		}
	}
}
