package compute

import (
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"imprint/host/api/apitest"
	"imprint/host/cloud"
)

type object = map[string]any

// rebuilt is a cloud of one node, where a server with a key, user data, an
// injected file, a property and a password runs.
type rebuilt struct {
	t     *testing.T
	role  *Role
	store *apitest.Store
	old   *apitest.Client // of version 2.1
	id    string
}

func newRebuilt(t *testing.T) *rebuilt {
	r := &rebuilt{t: t}
	r.role, r.store = oneNode(false)
	key := func(user, name string) *cloud.KeyPair {
		return &cloud.KeyPair{UserID: cloud.UserID(user), Name: name, Type: "ssh", PublicKey: "ssh-ed25519 " + name}
	}
	r.store.Seed(key("u", "one"), key("u", "two"), key("other", "three"),
		&cloud.Image{ImageID: "0badcafe-0000-4000-8000-000000000003", Status: "active", Visibility: "private", Owner: "q"},
		&cloud.Image{ImageID: "0badcafe-0000-4000-8000-000000000004", Status: "queued", Visibility: "public"},
		&cloud.Image{ImageID: "0badcafe-0000-4000-8000-000000000005", Status: "active", Visibility: "public", MinRAM: 128})
	r.old = apitest.NewClient(t, r.role.Handler(), "t")
	r.id = r.at("2.37").Do("POST", "/v2.1/servers", object{"server": object{"name": "Old name", "flavorRef": "1", "imageRef": plainImage,
		"key_name": "one", "user_data": base64.StdEncoding.EncodeToString([]byte("old data")), "metadata": object{"k": "old"},
		"personality": []any{object{"path": "/etc/one", "contents": "b25l"}}, "networks": "none"}}).Want(202).Text("server.id")
	r.report(cloud.InstanceActive, 0)
	r.change(func(s *cloud.Server) { s.Password = "secret" })
	return r
}

func (r *rebuilt) at(version string) *apitest.Client {
	return r.old.With("X-OpenStack-Nova-API-Version", version)
}

// report tells how the node's instance is; one that is down never started.
func (r *rebuilt) report(state cloud.InstanceState, rebuild int64) {
	r.t.Helper()
	since := time.Unix(1000+rebuild, 0)
	if state == cloud.InstanceStopped {
		since = time.Time{}
	}
	err := r.role.OnReport(r.t.Context(), "node1", cloud.Report{Instance: &cloud.InstanceReport{
		ID: cloud.ServerID(r.id), State: state, RebuildGeneration: rebuild, StartedAt: since}})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rebuilt) server() (s cloud.Server) {
	r.store.View(func(m *cloud.Model) { s = *m.Servers[cloud.ServerID(r.id)] })
	return s
}

func (r *rebuilt) change(f func(*cloud.Server)) {
	s := r.server()
	f(&s)
	r.store.Seed(&s)
}

// ask asks for a rebuild of the plain image, with what else body has.
func (r *rebuilt) ask(version string, body object) *apitest.Answer {
	r.t.Helper()
	all := object{"imageRef": plainImage}
	for name, value := range body {
		all[name] = value
	}
	return r.at(version).Do("POST", "/v2.1/servers/"+r.id+"/action", object{"rebuild": all})
}

// TestRebuildKeepsAndChanges: what a rebuild does not name stays, but for the
// injected files.
func TestRebuildKeepsAndChanges(t *testing.T) {
	data := base64.StdEncoding.EncodeToString([]byte("new data"))
	for _, tt := range []struct {
		name, version string
		body          object
		want          string
	}{
		{"nothing else", "2.93", nil, "Old name old-name one data k=old files=0 drive=false "},
		{"of an image with a drive", "2.1", object{"imageRef": driveImage}, "Old name old-name one data k=old files=0 drive=true "},
		{"name", "2.1", object{"name": " New "}, "New old-name one data k=old files=0 drive=false "},
		{"hostname", "2.90", object{"hostname": "other"}, "Old name other one data k=old files=0 drive=false "},
		{"description", "2.19", object{"description": "text"}, "Old name old-name one data k=old files=0 drive=false text"},
		{"metadata", "2.1", object{"metadata": object{"k": "new"}}, "Old name old-name one data k=new files=0 drive=false "},
		{"no metadata", "2.1", object{"metadata": object{}}, "Old name old-name one data k= files=0 drive=false "},
		{"files", "2.56", object{"personality": []any{object{"path": "/etc/two", "contents": "dHdv"}}}, "Old name old-name one data k=old files=1 drive=false "},
		{"key", "2.54", object{"key_name": "two"}, "Old name old-name two data k=old files=0 drive=false "},
		{"no key", "2.54", object{"key_name": nil}, "Old name old-name  data k=old files=0 drive=false "},
		{"user data", "2.57", object{"user_data": data}, "Old name old-name one other data k=old files=0 drive=false "},
		{"no user data", "2.57", object{"user_data": nil}, "Old name old-name one none k=old files=0 drive=false "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRebuilt(t)
			before := r.server()
			r.ask(tt.version, tt.body).Want(202)
			s := r.server()
			told := map[cloud.Digest]string{before.UserData: "data", "": "none"}[s.UserData]
			if told == "" {
				told = "other data"
			}
			got := fmt.Sprintf("%s %s %s %s k=%s files=%d drive=%v %s", s.Name, s.HostName, s.KeyName, told, s.Metadata["k"], len(s.Files), s.ConfigDrive, s.Description)
			if got != tt.want {
				t.Errorf("%s\nwant %s", got, tt.want)
			}
			if s.RebuildGeneration != 1 || s.DriveGeneration != 1 || s.Power != cloud.PowerOn || s.Password != "secret" || s.Host != before.Host {
				t.Errorf("%+v", s)
			}
			if (s.PublicKey == "") != (s.KeyName == "") {
				t.Errorf("key %q of %q", s.PublicKey, s.KeyName)
			}
		})
	}
}

func TestRebuildRefused(t *testing.T) {
	r := newRebuilt(t)
	before := r.store.Dump()
	for _, tt := range []struct {
		version string
		body    object
		says    string
	}{
		{"2.1", object{"imageRef": nil}, "imageRef"},
		{"2.1", object{"imageRef": "0badcafe-0000-4000-8000-0000000000ff"}, "Cannot find image for rebuild"},
		{"2.1", object{"imageRef": "0badcafe-0000-4000-8000-000000000003"}, "Cannot find image for rebuild"},
		{"2.1", object{"imageRef": "0badcafe-0000-4000-8000-000000000004"}, "is not active"},
		{"2.1", object{"imageRef": "0badcafe-0000-4000-8000-000000000005"}, "memory is too small"},
		{"2.18", object{"description": "text"}, "description"},
		{"2.53", object{"key_name": "two"}, "key_name"},
		{"2.54", object{"key_name": "three"}, "Invalid key_name provided."},
		{"2.56", object{"user_data": "eA=="}, "user_data"},
		{"2.57", object{"user_data": "?"}, "user_data"},
		{"2.57", object{"personality": []any{}}, "personality"},
		{"2.89", object{"hostname": "other"}, "hostname"},
		{"2.90", object{"hostname": "-"}, "hostname"},
		{"2.1", object{"adminPass": "secret"}, "adminPass"},
		{"2.1", object{"preserve_ephemeral": true}, "preserve_ephemeral"},
		{"2.63", object{"trusted_image_certificates": []any{"x"}}, "trusted_image_certificates"},
		{"2.1", object{"flavorRef": "1"}, "flavorRef"},
	} {
		r.ask(tt.version, tt.body).Want(400).Says(tt.says)
	}
	if after := r.store.Dump(); after != before {
		t.Errorf("the state changed:\n%s\n%s", before, after)
	}
	r.at("2.1").Do("POST", "/v2.1/servers/none/action", object{"rebuild": object{"imageRef": plainImage}}).Want(404)
}

func TestRebuildByState(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*cloud.Server)
		says   string // "": it is done
		power  cloud.Power
	}{
		{"active", func(*cloud.Server) {}, "", cloud.PowerOn},
		{"stopped", func(s *cloud.Server) { s.State, s.Power = cloud.InstanceStopped, cloud.PowerOff }, "", cloud.PowerOff},
		{"halted itself", func(s *cloud.Server) { s.State = cloud.InstanceStopped }, "", cloud.PowerOff},
		{"failed", func(s *cloud.Server) { s.State, s.Power = cloud.InstanceError, cloud.PowerOff }, "", cloud.PowerOn},
		{"not placed", func(s *cloud.Server) { s.State, s.Host = cloud.InstanceError, "" }, "vm_state error", ""},
		{"being built", func(s *cloud.Server) { s.State = cloud.InstanceBuilding }, "vm_state building", ""},
		{"stopping", func(s *cloud.Server) { s.Power = cloud.PowerOff }, "task_state powering-off", ""},
		{"rebooting", func(s *cloud.Server) { s.RebootGeneration++ }, "task_state rebooting", ""},
		{"being rebuilt", func(s *cloud.Server) { s.RebuildGeneration++ }, "task_state rebuilding", ""},
		{"being deleted", func(s *cloud.Server) { s.Deleting = true }, "task_state deleting", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRebuilt(t)
			r.change(tt.change)
			if tt.says != "" {
				r.ask("2.1", nil).Want(409).Says("Cannot 'rebuild' instance " + r.id + " while it is in " + tt.says)
				return
			}
			r.ask("2.1", nil).Want(202)
			if got := r.server().Power; got != tt.power {
				t.Errorf("it is to be %s, want %s", got, tt.power)
			}
		})
	}
}

func TestRebuildUntilItIsReported(t *testing.T) {
	r := newRebuilt(t)
	status := func() string { return r.old.Do("GET", "/v2.1/servers/"+r.id, nil).Want(200).Text("server.status") }
	r.ask("2.1", nil).Want(202)
	// It halted itself just before: that is no wish to have it stay down.
	r.report(cloud.InstanceStopped, 0)
	if got := status(); got != "REBUILD" || r.server().Power != cloud.PowerOn {
		t.Errorf("%s, to be %s", got, r.server().Power)
	}
	for _, action := range []string{"os-start", "os-stop"} {
		r.at("2.1").Do("POST", "/v2.1/servers/"+r.id+"/action", object{action: nil}).Want(409)
	}
	r.at("2.1").Do("POST", "/v2.1/servers/"+r.id+"/action", object{"reboot": object{"type": "HARD"}}).Want(409).Says("task_state rebuilding")
	r.report(cloud.InstanceActive, 1)
	if got := status(); got != "ACTIVE" || !r.server().LaunchedAt.Equal(time.Unix(1001, 0)) {
		t.Errorf("%s, launched %v", got, r.server().LaunchedAt)
	}
	r.report(cloud.InstanceStopped, 1)
	r.ask("2.1", nil).Want(202)
	r.report(cloud.InstanceStopped, 2)
	if got := status(); got != "SHUTOFF" || !r.server().LaunchedAt.Equal(time.Unix(1001, 0)) {
		t.Errorf("down: %s, launched %v", got, r.server().LaunchedAt)
	}
	r.ask("2.1", nil).Want(202)
	r.report(cloud.InstanceError, 3)
	if got := status(); got != "ERROR" {
		t.Errorf("failed: %s", got)
	}
	// By now the node gives every server a config drive.
	var node cloud.Node
	r.store.View(func(m *cloud.Model) { node = *m.Nodes["node1"] })
	node.ForceConfigDrive = true
	r.store.Seed(&node)
	r.ask("2.1", nil).Want(202)
	if !r.server().ConfigDrive {
		t.Error("the node's config drive is not there")
	}
}

func TestAnswerToARebuild(t *testing.T) {
	for version, fields := range map[string]map[string]bool{
		"2.1":  {"status": true, "adminPass": false, "key_name": false, "user_data": false, "config_drive": false, "locked": false},
		"2.19": {"locked": true, "description": true, "key_name": false},
		"2.54": {"key_name": true, "user_data": false},
		"2.57": {"user_data": true, "server_groups": false},
		"2.71": {"server_groups": true, "config_drive": false},
		"2.75": {"config_drive": true, "OS-EXT-STS:task_state": true, "user_data": true, "adminPass": false},
	} {
		a := newRebuilt(t).ask(version, nil).Want(202)
		server := a.Get("server").(map[string]any)
		for name, want := range fields {
			if _, got := server[name]; got != want {
				t.Errorf("%s: %s is there: %v", version, name, got)
			}
		}
		if server["status"] != "REBUILD" || a.Header.Get("Location") == "" {
			t.Errorf("%s: %v, %v", version, server["status"], a.Header)
		}
	}
}
