package openstack

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// capturedDrives are the files of the drives that Nova 26.2.2 made, by the
// instance's id.
func capturedDrives(t *testing.T) map[string]map[string]string {
	t.Helper()
	var captured map[string]map[string]struct {
		Text   string
		Base64 []byte
		SameAs string `json:"same_as"`
	}
	readJSON(t, "testdata/configdrive.json", &captured)
	drives := map[string]map[string]string{}
	for id, files := range captured {
		drives[id] = map[string]string{}
		for path, f := range files {
			if f.SameAs != "" {
				f = files[f.SameAs]
			}
			drives[id][path] = f.Text + string(f.Base64)
		}
	}
	return drives
}

// counting gives bytes of which no stretch comes twice.
type counting struct{ n byte }

func (c *counting) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = c.n
	}
	c.n++
	return len(b), nil
}

func TestDriveAsCaptured(t *testing.T) {
	instances := capturedInstances(t)
	for id, want := range capturedDrives(t) {
		files, err := instances[id].Drive(&counting{1}, DriveSkips())
		if err != nil {
			t.Fatal(err)
		}
		got, seeds := map[string]string{}, map[string]bool{}
		for _, f := range files {
			if strings.HasPrefix(f.Path, "openstack/2025-04-04/") {
				continue // younger than the peer
			}
			body := string(f.Body)
			if before, rest, found := strings.Cut(body, `"random_seed": "`); found {
				seed, after, _ := strings.Cut(rest, `"`)
				if raw, err := base64.StdEncoding.DecodeString(seed); err != nil || len(raw) != seedBytes || seeds[seed] {
					t.Errorf("%s: its seed is not fresh: %v", f.Path, err)
				}
				seeds[seed] = true
				body = before + `"random_seed": "` + seedMark + `"` + after
			}
			got[f.Path] = body
		}
		for path, body := range want {
			want[path] = departures(path, body)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -nova +ours\n%s", instances[id].Name, diff)
		}
	}
}

// TestDriveTellsWhatTheServiceTells compares the two for every captured
// instance: a drive has every document of the service and no other but the
// content of injected files.
func TestDriveTellsWhatTheServiceTells(t *testing.T) {
	for _, i := range capturedInstances(t) {
		bare := *i
		bare.Files, bare.AdminPass = nil, ""
		files, err := bare.Drive(bytes.NewReader(make([]byte, 64*seedBytes)), DriveSkips())
		if err != nil {
			t.Fatal(err)
		}
		var paths []string
		for _, f := range files {
			paths = append(paths, f.Path)
			if strings.HasSuffix(f.Path, "/meta-data.json") {
				continue // the service has a tree of leaves instead
			}
			d, err := i.Lookup(Request{Path: f.Path})
			if err != nil || !bytes.Equal(d.Body, f.Body) {
				t.Errorf("%s: %s: %v, %s", i.Name, f.Path, err, cmp.Diff(string(d.Body), string(f.Body)))
			}
		}
		for _, v := range append(versionNames(), Latest) {
			list, err := i.Lookup(Request{Path: "/openstack/" + v})
			if err != nil {
				t.Fatal(err)
			}
			for name := range strings.Lines(string(list.Body)) {
				name = strings.TrimSpace(name)
				if p := "openstack/" + v + "/" + name; name != namePassword && !slices.Contains(paths, p) {
					t.Errorf("%s: the drive has no %s", i.Name, p)
				}
			}
		}
	}
}

func TestDriveOfABareInstance(t *testing.T) {
	i := &Instance{UUID: "u", Files: []InjectedFile{{Path: "/a", Content: nil}}}
	files, err := i.Drive(&counting{}, DriveSkips())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"ami-id": "", "ami-launch-index": 0, "ami-manifest-path": "FIXME", "instance-id": "", "hostname": "", ` +
		`"local-ipv4": null, "reservation-id": "", "security-groups": [], "local-hostname": "", "public-hostname": "", ` +
		`"public-ipv4": "", "instance-type": "", "block-device-mapping": {}, "placement": {"availability-zone": ""}, "instance-action": "none"}`
	if files[0].Path != "ec2/2009-04-04/meta-data.json" || string(files[0].Body) != want {
		t.Errorf("%s: %s", files[0].Path, cmp.Diff(want, string(files[0].Body)))
	}
	if last := files[len(files)-1]; last.Path != "openstack/content/0000" || len(last.Body) != 0 {
		t.Errorf("the last file is %s of %d bytes", last.Path, len(last.Body))
	}
	if !slices.IsSortedFunc(files, func(a, b DriveFile) int {
		return strings.Compare(strings.SplitN(a.Path, "/", 2)[0], strings.SplitN(b.Path, "/", 2)[0])
	}) {
		t.Error("the trees are mixed")
	}
}

func TestDriveWithoutRandomBytes(t *testing.T) {
	broken := errors.New("no entropy")
	if _, err := new(Instance).Drive(iotest.ErrReader(broken), nil); !errors.Is(err, broken) {
		t.Errorf("error %v, want the source's own", err)
	}
}

// Without skipped versions a drive has the whole EC2 tree, each version's
// document with the leaves that the service has there (Nova 26.2.2 has no
// setting for the service, so it told them all).
func TestDriveSkips(t *testing.T) {
	for _, i := range capturedInstances(t) {
		files, err := i.Drive(&counting{}, []string{Latest})
		if err != nil {
			t.Fatal(err)
		}
		var versions []string
		for _, f := range files {
			version, isDocument := strings.CutSuffix(strings.TrimPrefix(f.Path, "ec2/"), "/meta-data.json")
			if !isDocument {
				continue
			}
			versions = append(versions, version)
			var document map[string]any
			if err := json.Unmarshal(f.Body, &document); err != nil {
				t.Fatal(err)
			}
			list, err := i.Lookup(Request{Path: "/" + version + "/meta-data"})
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Split(strings.ReplaceAll(string(list.Body), "/", ""), "\n")
			if diff := cmp.Diff(want, slices.Sorted(maps.Keys(document))); diff != "" {
				t.Errorf("%s %s: -service +drive\n%s", i.Name, version, diff)
			}
		}
		if diff := cmp.Diff(EC2Versions(), versions); diff != "" {
			t.Errorf("%s: %s", i.Name, diff)
		}
	}
}
