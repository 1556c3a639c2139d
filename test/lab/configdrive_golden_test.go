package lab

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/base/openstack"
	"imprint/host/cloud"
	"imprint/host/configdrive"
	"imprint/host/metadata"
)

// captured are the instances of a real Nova, by their names.
type captured map[string]*openstack.Instance

func capturedInstances(t *testing.T) captured {
	t.Helper()
	b, err := os.ReadFile("../../base/openstack/testdata/instances.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []*openstack.Instance
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	vendor, err := openstack.ParseVendorData([]byte(`{"peer-static": {"answer": 42, "list": ["a", "b"]}, "cloud-init": "#cloud-config\n{}\n"}`))
	if err != nil {
		t.Fatal(err)
	}
	all := captured{}
	for _, i := range list {
		i.VendorData = vendor
		all[i.Name] = i
	}
	return all
}

// built is a drive of an instance, opened.
func built(t *testing.T, v configdrive.Volume, i *openstack.Instance) *configdrive.Drive {
	t.Helper()
	m, err := v.Instance(i)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := m.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	d, err := configdrive.Open(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDriveAndServiceOfCapturedInstances compares, for every instance that was
// captured of a real Nova and for both formats, each document of the drive with
// the answer of the metadata service.
func TestDriveAndServiceOfCapturedInstances(t *testing.T) {
	instances := capturedInstances(t)
	service, err := metadata.NewService(metadata.NewFixture(slices.Collect(maps.Values(instances))...), hopSecret, nil)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(service)
	defer server.Close()
	for name, i := range instances {
		for _, v := range []configdrive.Volume{{}, {Format: configdrive.VFAT}, {Skip: []string{}}} {
			drive := built(t, v, i)
			if wrong := drive.Verify(); len(wrong) > 0 {
				t.Errorf("%s: %v", name, wrong)
			}
			told := asker{server.URL, cloud.ServerID(i.UUID), cloud.ProjectID(i.ProjectID)}
			if seen := compareDocuments(t, drive, told); seen < 30 {
				t.Errorf("%s: only %d documents", name, seen)
			}
			compareLists(t, drive, told)
		}
	}
}

// dynamic is what a vendor data target answered when the drives were captured.
var dynamic = regexp.MustCompile(`, "peer": {"greeting".*}`)

// TestDriveIsNovas compares whole drives with those that Nova 26.2.2 made of the
// same instances: every path, mode and content.
func TestDriveIsNovas(t *testing.T) {
	instances := capturedInstances(t)
	for _, name := range []string{"c2", "c3"} {
		f, err := os.Open("../../base/iso9660/testdata/configdrive-" + name + ".iso.gz")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		novas, err := configdrive.Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		if wrong := novas.Verify(); len(wrong) > 0 {
			t.Errorf("Nova's drive of %s: %v", name, wrong)
		}
		for _, format := range []configdrive.Format{configdrive.ISO9660, configdrive.VFAT} {
			ours := built(t, configdrive.Volume{Format: format, Created: time.Now()}, instances[name])
			if ours.Label != novas.Label {
				t.Errorf("label %q, Nova's %q", ours.Label, novas.Label)
			}
			if diff := cmp.Diff(tree(t, novas), tree(t, ours)); diff != "" {
				t.Errorf("%s, %s: -nova +ours\n%s", name, format, diff)
			}
		}
	}
}

// tree is a drive's paths with modes and contents, without what no two drives
// share, what is younger than the captured ones, and dynamic vendor data.
func tree(t *testing.T, d *configdrive.Drive) map[string]string {
	t.Helper()
	entries, err := configdrive.List(d, false, false, d.Size)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		if strings.HasPrefix(e.Path, "openstack/2025-04-04") {
			continue
		}
		all[e.Path] = e.Mode
		if strings.HasPrefix(e.Mode, "-") {
			f, err := d.Open(e.Path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			b, err := io.ReadAll(f)
			if err != nil {
				t.Fatal(err)
			}
			all[e.Path] += " " + dynamic.ReplaceAllString(randomSeed.ReplaceAllString(string(b), "SEED"), "}")
		}
	}
	return all
}
