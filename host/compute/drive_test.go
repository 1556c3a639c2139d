package compute

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"imprint/host/api/apitest"
	"imprint/host/cloud"
)

// noPorts is a network role without networks.
type noPorts struct{ Ports }

func (noPorts) AddPorts(*cloud.Model, cloud.Caller, ...*cloud.Port) (cloud.Txn, error) {
	return cloud.Txn{}, nil
}

func (noPorts) BindPorts(*cloud.Model, cloud.Caller, string, string, string, ...cloud.PortID) (cloud.Txn, error) {
	return cloud.Txn{}, nil
}

func (noPorts) SecurityGroup(_ cloud.ProjectID, name string) (string, bool) { return name, true }

const plainImage, driveImage = "0badcafe-0000-4000-8000-000000000001", "0badcafe-0000-4000-8000-000000000002"

// driveRole is a client of the role with two images, of which one asks for a
// config drive, and one node.
func driveRole(t *testing.T, force bool) (*apitest.Client, *apitest.Store) {
	role, store := oneNode(force)
	return apitest.NewClient(t, role.Handler(), "t").With("X-OpenStack-Nova-API-Version", "2.37"), store
}

func oneNode(force bool) (*Role, *apitest.Store) {
	store := apitest.NewStore(time.Now)
	image := func(id, policy string) *cloud.Image {
		return &cloud.Image{ImageID: cloud.ImageID(id), Status: "active", Visibility: "public",
			Properties: map[string]string{cloud.DriveProperty: policy}}
	}
	store.Seed(image(plainImage, "optional"), image(driveImage, "mandatory"), &cloud.Flavor{FlavorID: "1", Name: "tiny", VCPUs: 1, RAM: 64},
		&cloud.Node{Name: "node1", Compute: true, AvailabilityZone: "nova", ForceConfigDrive: force})
	return New(Options{Store: store, Blobs: apitest.NewBlobs(), Ports: noPorts{}, Auth: apitest.Callers{"t": {UserID: "u", ProjectID: "p"}}}), store
}

func TestConfigDriveOfAServer(t *testing.T) {
	for _, tt := range []struct {
		name  string
		asked any
		image string
		force bool
		told  string
	}{
		{"not asked", nil, plainImage, false, ""},
		{"asked", true, plainImage, false, "True"},
		{"asked in words", "true", plainImage, false, "True"},
		{"not wanted", false, plainImage, false, ""},
		{"of the image", nil, driveImage, false, "True"},
		{"of the image, not wanted", false, driveImage, false, "True"},
		{"of the node", nil, plainImage, true, "True"},
		{"of the node, not wanted", false, plainImage, true, "True"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, store := driveRole(t, tt.force)
			server := map[string]any{"name": "c1", "flavorRef": "1", "imageRef": tt.image, "networks": "none",
				"personality": []any{map[string]any{"path": "/etc/one", "contents": base64.StdEncoding.EncodeToString([]byte("one\n"))}}}
			if tt.asked != nil {
				server["config_drive"] = tt.asked
			}
			id := client.Do("POST", "/v2.1/servers", map[string]any{"server": server}).Want(202).Text("server.id")
			if got := client.Do("GET", "/v2.1/servers/"+id, nil).Want(200).Text("server.config_drive"); got != tt.told {
				t.Errorf("config_drive is %q, want %q", got, tt.told)
			}
			store.View(func(m *cloud.Model) {
				s := m.Servers[cloud.ServerID(id)]
				if s.ConfigDrive != (tt.told != "") || len(s.Files) != 1 || s.Files[0].Path != "/etc/one" {
					t.Errorf("drive %v, files %v", s.ConfigDrive, s.Files)
				}
			})
		})
	}
}

func TestRefreshOfAConfigDrive(t *testing.T) {
	client, store := driveRole(t, false)
	launch := func(drive bool) string {
		return client.Do("POST", "/v2.1/servers", map[string]any{"server": map[string]any{
			"name": "c1", "flavorRef": "1", "imageRef": plainImage, "networks": "none", "config_drive": drive}}).Want(202).Text("server.id")
	}
	id, without := launch(true), launch(false)
	refresh := map[string]any{"imprint-refreshConfigDrive": nil}
	for want := range int64(2) {
		store.View(func(m *cloud.Model) {
			if got := m.Servers[cloud.ServerID(id)].DriveGeneration; got != want {
				t.Errorf("generation %d, want %d", got, want)
			}
		})
		client.Do("POST", "/v2.1/servers/"+id+"/action", refresh).Want(202)
	}
	client.Do("POST", "/v2.1/servers/"+without+"/action", refresh).Want(409)
	client.Do("POST", "/v2.1/servers/none/action", refresh).Want(404)
}

// TestLimitsOfWhatAServerIsGiven: up to Nova's limits, and not one more (nova:
// conf/quota.py, injected_files, injected_file_content_bytes, _path_length).
func TestLimitsOfWhatAServerIsGiven(t *testing.T) {
	client, store := driveRole(t, false)
	files := func(count, size, path int) []any {
		var all []any
		for range count {
			all = append(all, map[string]any{"path": strings.Repeat("p", path), "contents": base64.StdEncoding.EncodeToString(make([]byte, size))})
		}
		return all
	}
	for _, tt := range []struct {
		name     string
		files    []any
		userData int // bytes
		status   int
	}{
		{"as much as there may be", files(5, 10<<10, 255), 65535 / 4 * 3, 202},
		{"a file too many", files(6, 1, 1), 0, 400},
		{"a byte too many", files(1, 10<<10+1, 1), 0, 400},
		{"a path too long", files(1, 1, 256), 0, 400},
		{"user data too long", nil, 65536 / 4 * 3, 400},
	} {
		server := map[string]any{"name": "c1", "flavorRef": "1", "imageRef": plainImage, "networks": "none", "config_drive": true}
		if tt.files != nil {
			server["personality"] = tt.files
		}
		if tt.userData > 0 {
			server["user_data"] = base64.StdEncoding.EncodeToString(make([]byte, tt.userData))
		}
		res := client.Do("POST", "/v2.1/servers", map[string]any{"server": server}).Want(tt.status)
		if tt.status != 202 {
			continue
		}
		id := cloud.ServerID(res.Text("server.id"))
		store.View(func(m *cloud.Model) {
			if s := m.Servers[id]; len(s.Files) != 5 || s.Files[4].Size != 10<<10 || s.UserData == "" {
				t.Errorf("%s: %+v", tt.name, s.Files)
			}
		})
	}
}
