package datasource

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

const anID, anotherID = "cc8f7f24-498d-4e21-a549-f3771c3e5189", "ac4d5b9f-3064-43fd-b44c-78c3b4440892"

func withUUID(uuid string, more map[string]string) files {
	f := files{"/sys/class/dmi/id/product_name": "OpenStack Nova\n", "/sys/class/dmi/id/product_uuid": strings.ToUpper(uuid) + "\n"}
	maps.Copy(f, more)
	return f
}

func TestCheck(t *testing.T) {
	seedID := files{"/var/lib/cloud/seed/nocloud/meta-data": "instance-id: s1\n"}
	for _, c := range []struct {
		name, source, id string
		root             files
		want             Machine
	}{
		{"firmware says the same", "OpenStack", anID, withUUID(anID, nil), SameMachine},
		{"firmware says another", "ConfigDrive", anID, withUUID(anotherID, nil), OtherMachine},
		{"firmware says nothing", "OpenStack", anID, files{}, UnknownMachine},
		{"firmware is not OpenStack's", "ConfigDrive", anID, files{"/sys/class/dmi/id/product_uuid": anotherID}, UnknownMachine},
		{"a drive with another kind of id", "ConfigDrive", "iid-1", withUUID(anID, nil), UnknownMachine},
		{"nobody's check", "Ec2", "i-1", withUUID(anID, nil), UnknownMachine},
		{"seed says the same", "NoCloud", "s1", seedID, SameMachine},
		{"seed says another", "NoCloud", "s2", seedID, OtherMachine},
		{"command line before the seed", "NoCloud", "c1", files{"/var/lib/cloud/seed/nocloud/meta-data": "instance-id: s1\n", "/proc/cmdline": "ds=nocloud;i=c1"}, SameMachine},
		{"no seed", "NoCloud", "s1", files{}, UnknownMachine},
		{"a seed that cannot be read", "NoCloud", "s1", files{"/var/lib/cloud/seed/nocloud/meta-data": "[\n"}, UnknownMachine},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := &Instance{Name: c.source, InstanceID: c.id}
			if got := i.Check(Env{Root: c.root, Arch: "x86_64"}); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// A service that is down never makes an instance somebody else; a machine that
// is another one does.
func TestResume(t *testing.T) {
	down := wire(func(*http.Request) (*http.Response, error) { return nil, syscall.EHOSTUNREACH })
	up := wire(func(r *http.Request) (*http.Response, error) {
		switch {
		case r.URL.Path == "/openstack":
			return says(200, "latest"), nil
		case strings.HasSuffix(r.URL.Path, "meta_data.json"):
			return says(200, `{"uuid": "`+anotherID+`"}`), nil
		}
		return says(404, ""), nil
	})
	ec2 := &Instance{Name: "Ec2", InstanceID: "i-1"}
	nova := &Instance{Name: "OpenStack", InstanceID: anID}
	for _, c := range []struct {
		name    string
		known   *Instance
		root    files
		wire    wire
		want    string
		kept    bool
		not     bool // no request
		warning bool
	}{
		{"checked by firmware, service down", nova, withUUID(anID, nil), down, anID, true, true, false},
		{"checked by firmware, service up", nova, withUUID(anID, nil), up, anID, true, true, false},
		{"not checked, service down", nova, novaMachine, down, anID, true, false, true},
		{"not checked, service up", nova, novaMachine, up, anotherID, false, false, false},
		{"of another kind, service down", ec2, novaMachine, down, "i-1", true, false, true},
		{"identity lost, nobody asked", nova, files{}, down, anID, true, true, true},
		{"another machine, service down", nova, withUUID(anotherID, nil), down, "iid-datasource-none", false, false, false},
		{"another machine, service up", nova, withUUID(anotherID, nil), up, anotherID, false, false, false},
		{"the first boot, service down", nil, novaMachine, down, "iid-datasource-none", false, false, false},
		{"None before, service up", &Instance{Name: "None", InstanceID: "iid-datasource-none"}, novaMachine, up, anotherID, false, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				w := locked(func(r *http.Request) (*http.Response, error) { asked++; return c.wire(r) })
				var log bytes.Buffer
				env := Env{Root: c.root, Arch: "x86_64", Transport: w, Log: slog.New(slog.NewTextHandler(&log, nil))}
				i, _, kept := Resume(t.Context(), env, c.known, everySource(Settings{}))
				if i == nil || i.InstanceID != c.want || kept != c.kept || (asked == 0) != c.not {
					t.Errorf("%+v, kept %t, %d requests", i, kept, asked)
				}
				if strings.Contains(log.String(), "the instance stays") != c.warning {
					t.Error(log.String())
				}
			})
		})
	}
}

func TestNetworkDisabled(t *testing.T) {
	root := files{"/var/lib/cloud/seed/nocloud/meta-data": "", "/var/lib/cloud/seed/nocloud/user-data": "", "/var/lib/cloud/seed/nocloud/network-config": "config: disabled\n"}
	i, err := NewNoCloud(nil, Settings{}).Crawl(t.Context(), Env{Root: root, Arch: "x86_64"})
	if err != nil {
		t.Fatal(err)
	}
	s, problems, err := i.Network(nil)
	if !i.NetworkDisabled() || err != nil || problems != nil || s == nil || len(s.Links) > 0 {
		t.Errorf("%+v, %q, %v", s, problems, err)
	}
}

// A seed survives the cache between the stages, problems and all.
func TestNoCloudInCache(t *testing.T) {
	root := files{"/var/lib/cloud/seed/nocloud/meta-data": "[a\n", "/var/lib/cloud/seed/nocloud/user-data": "x", "/var/lib/cloud/seed/nocloud/network-config": "version: 2\nethernets: {eth0: {dhcp4: true}}\n"}
	i, err := NewNoCloud(nil, Settings{}).Crawl(t.Context(), Env{Root: root, Arch: "x86_64"})
	if err != nil {
		t.Fatal(err)
	}
	if len(i.Problems) != 1 || !strings.Contains(i.Problems[0], "/var/lib/cloud/seed/nocloud/meta-data: line 1 column 1") {
		t.Errorf("%q", i.Problems)
	}
	unchangedByJSON(t, i)
	b, err := json.Marshal(i)
	if err != nil {
		t.Fatal(err)
	}
	var again Instance
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	for _, i := range []*Instance{i, &again} {
		s, problems, err := i.Network(nil)
		if err != nil || len(problems) > 0 || len(s.Links) != 1 || s.Links[0].Name != "eth0" {
			t.Errorf("%+v, %q, %v", s, problems, err)
		}
	}
	if d := cmp.Diff(i.String(), again.String()); d != "" || i.String() != "DataSourceNoCloud [seed=/var/lib/cloud/seed/nocloud][dsmode=net]" {
		t.Error(d, i)
	}
}
