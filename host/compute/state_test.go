package compute

import (
	"testing"

	"imprint/host/cloud"
)

func TestStateOf(t *testing.T) {
	on := cloud.PowerOn
	for name, c := range map[string]struct {
		server cloud.Server
		want   state
	}{
		"not placed":        {cloud.Server{State: cloud.InstanceBuilding, Power: on}, state{"BUILD", "building", "scheduling", 0}},
		"being built":       {cloud.Server{State: cloud.InstanceBuilding, Power: on, Host: "n"}, state{"BUILD", "building", "spawning", 0}},
		"active":            {cloud.Server{State: cloud.InstanceActive, Power: on, Host: "n"}, state{"ACTIVE", "active", "", 1}},
		"stopping":          {cloud.Server{State: cloud.InstanceActive, Power: cloud.PowerOff, Host: "n"}, state{"ACTIVE", "active", "powering-off", 1}},
		"stopped":           {cloud.Server{State: cloud.InstanceStopped, Power: cloud.PowerOff, Host: "n"}, state{"SHUTOFF", "stopped", "", 4}},
		"starting":          {cloud.Server{State: cloud.InstanceStopped, Power: on, Host: "n", RebootGeneration: 1, RebootType: hard}, state{"SHUTOFF", "stopped", "powering-on", 4}},
		"halted itself":     {cloud.Server{State: cloud.InstanceStopped, Power: on, Host: "n"}, state{"SHUTOFF", "stopped", "", 4}},
		"soft reboot":       {cloud.Server{State: cloud.InstanceActive, Power: on, Host: "n", RebootGeneration: 1, RebootType: soft}, state{"REBOOT", "active", "rebooting", 1}},
		"hard reboot":       {cloud.Server{State: cloud.InstanceActive, Power: on, Host: "n", RebootGeneration: 2, DoneReboot: 1, RebootType: hard}, state{"HARD_REBOOT", "active", "rebooting_hard", 1}},
		"rebooted":          {cloud.Server{State: cloud.InstanceActive, Power: on, Host: "n", RebootGeneration: 2, DoneReboot: 2, RebootType: hard}, state{"ACTIVE", "active", "", 1}},
		"rebuilding":        {cloud.Server{State: cloud.InstanceActive, Power: on, Host: "n", RebuildGeneration: 1}, state{"REBUILD", "active", "rebuilding", 1}},
		"rebuilding, off":   {cloud.Server{State: cloud.InstanceStopped, Power: cloud.PowerOff, Host: "n", RebuildGeneration: 1}, state{"REBUILD", "stopped", "rebuilding", 4}},
		"rebuilding failed": {cloud.Server{State: cloud.InstanceError, Power: on, Host: "n", RebuildGeneration: 1}, state{"REBUILD", "error", "rebuilding", 0}},
		"rebuilt":           {cloud.Server{State: cloud.InstanceActive, Power: on, Host: "n", RebuildGeneration: 1, DoneRebuild: 1}, state{"ACTIVE", "active", "", 1}},
		"rebuild failed":    {cloud.Server{State: cloud.InstanceError, Power: on, Host: "n", RebuildGeneration: 1, DoneRebuild: 1}, state{"ERROR", "error", "", 0}},
		"rebuilt, deleting": {cloud.Server{State: cloud.InstanceActive, Power: on, Host: "n", RebuildGeneration: 1, Deleting: true}, state{"ACTIVE", "active", "deleting", 1}},
		"failed":            {cloud.Server{State: cloud.InstanceError, Power: on, Host: "n"}, state{"ERROR", "error", "", 0}},
		"being deleted":     {cloud.Server{State: cloud.InstanceActive, Power: on, Host: "n", Deleting: true}, state{"ACTIVE", "active", "deleting", 1}},
		"deleted failed":    {cloud.Server{State: cloud.InstanceError, Power: on, Host: "n", Deleting: true}, state{"SHUTOFF", "error", "deleting", 0}},
		"not deletable":     {cloud.Server{State: cloud.InstanceError, Power: on, Host: "n", Deleting: true, Fault: "busy"}, state{"ERROR", "error", "deleting", 0}},
		"deleted rebooting": {cloud.Server{State: cloud.InstanceActive, Power: on, Host: "n", Deleting: true, RebootGeneration: 1}, state{"ACTIVE", "active", "deleting", 1}},
	} {
		if got := stateOf(&c.server); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestPlace(t *testing.T) {
	m := cloud.NewModel()
	for _, n := range []*cloud.Node{{Name: "a", Compute: true}, {Name: "b", Compute: true}, {Name: "c", Compute: true, AvailabilityZone: "east"},
		{Name: "net", Network: true, AvailabilityZone: "west"}} {
		m.Apply(cloud.Change{Record: n})
	}
	m.Apply(cloud.Change{Record: &cloud.Server{ServerID: "s", Host: "a"}})
	admin, user := cloud.Caller{Roles: []string{"admin"}}, cloud.Caller{}
	for _, c := range []struct {
		text   string
		caller cloud.Caller
		node   string // "-": refused, "": none fits
	}{
		{"", user, "b"},
		{"nova", user, "b"},
		{"east", user, "c"},
		{"west", user, "-"},
		{"mars", user, "-"},
		{"nova:a", user, "-"},
		{"nova:a", admin, "a"},
		{":c", admin, "c"},
		{"nova:c", admin, ""},
		{"nova:a:a", admin, "a"},
		{"nova:a:b", admin, "-"},
		{"nova::b", admin, "b"},
		{"a:b:c:d", admin, "-"},
	} {
		got := "-"
		if p, err := parsePlace(c.text); err == nil && p.check(m, c.caller) == nil {
			got = ""
			if n := p.choose(m); n != nil {
				got = n.Name
			}
		}
		if got != c.node {
			t.Errorf("%q: %q, want %q", c.text, got, c.node)
		}
	}
}

func TestKeys(t *testing.T) {
	public, private, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	print, err := fingerprint(public)
	if err != nil || len(print) != 47 || private == "" {
		t.Errorf("%q, %v", print, err)
	}
	// Recorded from a real Nova.
	print, err = fingerprint("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAB/ek7pJ5opycP8O9FzCHBaRVUqCY8NxxxAOmLxkygW peer@seed\n")
	if err != nil || print != "8b:9a:03:10:66:41:3c:7e:71:d3:af:d5:2c:af:cb:89" {
		t.Errorf("%q, %v", print, err)
	}
}

func FuzzFingerprint(f *testing.F) {
	f.Add("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAB/ek7pJ5opycP8O9FzCHBaRVUqCY8NxxxAOmLxkygW peer@seed\n")
	f.Add("no-pty ssh-rsa AAAA x\nssh-rsa AAAA y")
	f.Add("")
	f.Fuzz(func(t *testing.T, line string) {
		print, err := fingerprint(line)
		if err != nil {
			return
		}
		for i, r := range line {
			if (r == '\n' || r == '\r') && i < len(line)-2 {
				t.Fatalf("%q has a line inside", line)
			}
		}
		if again, err := fingerprint(line); err != nil || again != print {
			t.Fatalf("%q: %s, then %s, %v", line, print, again, err)
		}
	})
}

func TestMadePorts(t *testing.T) {
	isMade := made("server")
	for i := range maxNICs {
		id := madePort("server", i)
		if !cloud.IsUUID(string(id)) || !isMade(id) || made("other")(id) {
			t.Errorf("NIC %d: %s", i, id)
		}
	}
	if isMade(cloud.PortID(cloud.NewUUID())) {
		t.Error("a user's port is taken for one that was made")
	}
}

func TestCleanConsole(t *testing.T) {
	if got := cleanConsole("a\x1b[0m\r\n\tb\x00\xff"); got != "a[0m\n\tb?" {
		t.Errorf("%q", got)
	}
	if n := len(cleanConsole(string(make([]byte, 1<<20)))); n > maxConsole {
		t.Errorf("%d bytes", n)
	}
}
