package computeagent

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"imprint/host/cloud"
)

func TestDecide(t *testing.T) {
	on := instance("a")
	down := instance("a", off)
	gone := instance("a", deleting)
	again := instance("a", rebooted(2, "SOFT"))
	anew := instance("a", rebuilt(2), rebooted(2, "SOFT"))
	anewOff := instance("a", rebuilt(2), off)
	anewGone := instance("a", rebuilt(2), deleting)
	for _, tt := range []struct {
		name string
		want *cloud.DesiredInstance
		m    memory
		now  cloud.InstanceState
		do   action
	}{
		{"new", &on, memory{}, cloud.InstanceBuilding, start},
		{"new, to be off", &down, memory{}, cloud.InstanceBuilding, rest},
		{"runs", &on, memory{Phase: phaseOn}, cloud.InstanceActive, adopt},
		{"runs, to be off", &down, memory{Phase: phaseOn}, cloud.InstanceActive, stop},
		{"runs, to be rebooted", &again, memory{Phase: phaseOn, Rebooted: 1}, cloud.InstanceActive, reboot},
		{"reboot done", &again, memory{Phase: phaseOn, Rebooted: 2}, cloud.InstanceActive, adopt},
		{"reboot half done", &again, memory{Phase: phaseOn, Rebooted: 1}, cloud.InstanceStopped, start},
		{"halted from inside", &on, memory{Phase: phaseOn}, cloud.InstanceStopped, halted},
		{"stays halted", &on, memory{Phase: phaseHalted}, cloud.InstanceStopped, rest},
		{"halted, to be rebooted", &again, memory{Phase: phaseHalted}, cloud.InstanceStopped, start},
		{"cut off", &on, memory{Phase: phaseOn}, cloud.InstanceError, start},
		{"was off", &on, memory{Phase: phaseOff}, cloud.InstanceStopped, start},
		{"stopped with the agent", &on, memory{Phase: phaseResume}, cloud.InstanceStopped, start},
		{"stopped with the agent, to be off", &down, memory{Phase: phaseResume}, cloud.InstanceStopped, rest},
		{"to be rebuilt", &anew, memory{Phase: phaseOn, Rebuilt: 1, Rebooted: 1}, cloud.InstanceActive, rebuild},
		{"to be rebuilt, off", &anewOff, memory{Phase: phaseOff}, cloud.InstanceStopped, rebuild},
		{"to be rebuilt, halted by it", &anew, memory{Phase: phaseOn}, cloud.InstanceStopped, rebuild},
		{"to be rebuilt, memory gone with the disk", &anew, memory{}, cloud.InstanceBuilding, rebuild},
		{"disk removed", &anew, memory{Phase: phaseResume, Rebuilt: 2}, cloud.InstanceBuilding, start},
		{"disk removed, off", &anewOff, memory{Phase: phaseResume, Rebuilt: 2}, cloud.InstanceBuilding, rest},
		{"rebuilt", &anew, memory{Phase: phaseOn, Rebuilt: 2, Rebooted: 2}, cloud.InstanceActive, adopt},
		{"to be deleted, not rebuilt", &anewGone, memory{Phase: phaseOn}, cloud.InstanceActive, destroy},
		{"to be deleted", &gone, memory{Phase: phaseOn}, cloud.InstanceActive, destroy},
		{"unknown", nil, memory{}, cloud.InstanceBuilding, destroy},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := decide(tt.want, tt.m, tt.now); got != tt.do {
				t.Errorf("action %d, want %d", got, tt.do)
			}
		})
	}
}

func TestLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		a, end := n.run(Config{})
		defer end()
		step := func(what string, s cloud.Slice, lines ...string) {
			t.Helper()
			a.Apply(s)
			n.expect(what, lines...)
		}
		step("launch", slice(instance("a")),
			"sweep instance but [p-a]",
			"tell a is building, reboot 0",
			"start a on host",
			"plug p-a as eth0, mtu 1450",
			"tell p-a is up: true",
			"tell a is active, reboot 0")
		step("the same again", slice(instance("a")), "")
		step("soft reboot", slice(instance("a", rebooted(1, "SOFT"))),
			"stop a within 20s", "unplug p-a", "tell p-a is up: false",
			"start a on host", "plug p-a as eth0, mtu 1450", "tell p-a is up: true", "tell a is active, reboot 1")
		step("hard reboot", slice(instance("a", rebooted(2, "HARD"))),
			"stop a within 0s", "unplug p-a", "tell p-a is up: false",
			"start a on host", "plug p-a as eth0, mtu 1450", "tell p-a is up: true", "tell a is active, reboot 2")
		step("off", slice(instance("a", rebooted(2, "HARD"), off)),
			"stop a within 20s", "unplug p-a", "tell p-a is up: false", "tell a is stopped, reboot 2")
		step("on", slice(instance("a", rebooted(2, "HARD"))),
			"start a on host", "plug p-a as eth0, mtu 1450", "tell p-a is up: true", "tell a is active, reboot 2")
		step("delete", slice(instance("a", deleting)),
			"destroy a", "unplug p-a", "tell p-a is up: false", "tell a is deleted, reboot 0")
		step("forgotten", slice(), "")
	})
}

func TestPortsFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		a, end := n.run(Config{})
		defer end()
		a.Apply(slice(instance("a")))
		n.did()
		two := slice(instance("a", func(d *cloud.DesiredInstance) { d.Ports = []cloud.PortID{"p-a", "p-b"} }))
		a.Apply(two)
		n.expect("another port", "plug p-b as eth1, mtu 1450", "tell p-b is up: true")
		down := two.Clone()
		p := down.Ports["p-a"]
		p.Local = false
		down.Ports["p-a"] = p
		a.Apply(down)
		n.expect("port down", "unplug p-a", "tell p-a is up: false")
	})
}

func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.fail("b", errBroken)
		a, end := n.run(Config{})
		defer end()
		a.Apply(slice())
		n.did()
		stranger := instance("a", func(d *cloud.DesiredInstance) { d.Tree = "../etc" })
		a.Apply(slice(stranger))
		n.expect("unknown tree", `tell a is error, reboot 0: the image names the tree "../etc", which this node does not have`)
		a.Apply(slice(stranger, instance("b")))
		n.expect("broken", "tell b is building, reboot 0", "start b on host",
			"tell b is error, reboot 0: the node could not run the instance; its log says why")
		a.Apply(slice(stranger, instance("b")))
		n.expect("nothing new is wanted", "")
		n.fail("b", nil)
		a.Apply(slice(instance("a", func(d *cloud.DesiredInstance) { d.Tree = "bookworm" }), instance("b", rebooted(1, "HARD"))))
		got := n.did()
		for _, id := range []cloud.ServerID{"a", "b"} {
			if now, _, _ := n.Status(id); now != cloud.InstanceActive {
				t.Errorf("%s is %s after:\n%s", id, now, got)
			}
		}
	})
}

func TestRemovalIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		a, end := n.run(Config{})
		defer end()
		a.Apply(slice(instance("a")))
		n.did()
		n.fail("a", errBroken)
		a.Apply(slice(instance("a", deleting)))
		n.did()
		n.fail("a", nil)
		time.Sleep(retryPause)
		n.expect("second attempt", "destroy a", "unplug p-a", "tell p-a is up: false", "tell a is deleted, reboot 0")
	})
}

func TestSlowOneHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.hang["slow"] = true
		a, end := n.run(Config{Starts: 2, StartTimeout: time.Minute})
		defer end()
		a.Apply(slice(instance("slow"), instance("b"), instance("c"), instance("d")))
		n.did()
		for _, id := range []cloud.ServerID{"b", "c", "d"} {
			if now, _, _ := n.Status(id); now != cloud.InstanceActive {
				t.Errorf("%s is %s", id, now)
			}
		}
		if n.most > 2 {
			t.Errorf("%d starts at the same time", n.most)
		}
		time.Sleep(time.Minute)
		n.expect("gave up", "tell slow is error, reboot 0: the node could not run the instance; its log says why")
	})
}

func TestEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		a, end := n.run(Config{})
		defer end()
		a.Apply(slice(instance("a")))
		n.did()
		n.set("a", cloud.InstanceStopped)
		n.expect("halted from inside", "unplug p-a", "tell p-a is up: false", "tell a is stopped, reboot 0")
		a.Apply(slice(instance("a"), instance("b", off)))
		n.expect("it stays so", "tell b is stopped, reboot 0")
		a.Apply(slice(instance("a", off)))
		a.Apply(slice(instance("a", rebooted(1, "HARD"))))
		n.did()
		time.Sleep(time.Second)
		n.set("a", cloud.InstanceError)
		n.expect("cut off", "unplug p-a", "tell p-a is up: false", "start a on host",
			"plug p-a as eth0, mtu 1450", "tell p-a is up: true", "tell a is active, reboot 1")
	})
}

func TestRestart(t *testing.T) {
	for _, keep := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t)
			a, end := n.run(Config{KeepInstances: func() bool { return keep }})
			a.Apply(slice(instance("a")))
			n.did()
			end()
			if keep {
				n.expect("end", "")
			} else {
				n.expect("end", "stop a within 20s", "unplug p-a", "tell p-a is up: false")
			}
			a, end = n.run(Config{})
			defer end()
			n.expect("before the first slice", "")
			a.Apply(slice(instance("a")))
			if keep {
				n.expect("adopted", "sweep instance but [p-a]", "plug p-a as eth0, mtu 1450", "tell p-a is up: true",
					"tell a is active, reboot 0")
			} else {
				n.expect("started again", "sweep instance but [p-a]", "start a on host", "plug p-a as eth0, mtu 1450",
					"tell p-a is up: true", "tell a is active, reboot 0")
			}
		})
	}
}

func TestWhatIsNotWantedGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		a, end := n.run(Config{KeepInstances: func() bool { return true }})
		a.Apply(slice(instance("a")))
		n.did()
		end()
		a, end = n.run(Config{})
		defer end()
		a.Apply(slice())
		n.expect("swept", "sweep instance but []", "destroy a", "unplug p-a")
		if _, err := os.Stat(filepath.Join(n.dir, "a")); !os.IsNotExist(err) {
			t.Errorf("folder: %v", err)
		}
	})
}
