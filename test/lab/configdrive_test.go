package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/base/iso9660"
	"imprint/base/openstack"
	"imprint/base/vfat"
	"imprint/host/cloud"
	"imprint/host/computeagent"
	"imprint/host/configdrive"
	"imprint/host/fabric"
	"imprint/host/metadata"
	"imprint/host/plan"
)

const (
	driveServer  = cloud.ServerID("5ca1ab1e-0000-4000-8000-000000000001")
	driveProject = cloud.ProjectID("0123456789abcdef0123456789abcdef")
)

// heldBlobs are bytes by their digest.
type heldBlobs map[cloud.Digest][]byte

func (h heldBlobs) add(b []byte) cloud.Digest {
	h[cloud.DigestOf(b)] = b
	return cloud.DigestOf(b)
}

func (h heldBlobs) ReadAll(d cloud.Digest, _ int64) ([]byte, error) { return h[d], nil }

// driveModel has one server with all that a drive can tell, on a network with
// DHCP and on one without.
func driveModel(blobs heldBlobs) *cloud.Model {
	m := cloud.NewModel()
	put := func(r cloud.Record) { m.Apply(cloud.Change{Record: r}) }
	put(&cloud.Node{Name: hopNode, Compute: true})
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	for n, s := range []*cloud.Subnet{
		{CIDR: prefix("17.17.17.0/24"), Gateway: addr("17.17.17.1"), DHCP: true},
		{CIDR: prefix("18.18.18.0/24"), Gateway: addr("18.18.18.1"), DNS: []netip.Addr{addr("192.0.2.53"), addr("192.0.2.54")},
			HostRoutes: []cloud.Route{{Destination: prefix("198.51.100.0/24"), NextHop: addr("18.18.18.2")}}},
	} {
		network, port := cloud.NetworkID(fmt.Sprint("network", n)), cloud.PortID(fmt.Sprint("port", n))
		s.SubnetID, s.NetworkID = cloud.SubnetID(fmt.Sprint("subnet", n)), network
		put(s)
		put(&cloud.Network{NetworkID: network, MTU: 1450})
		put(&cloud.Port{PortID: port, NetworkID: network, DeviceID: string(driveServer), DeviceOwner: cloud.OwnerComputePrefix + "nova", Host: hopNode,
			MAC: cloud.MAC(fmt.Sprintf("fa:16:3e:00:00:0%d", n)), FixedIPs: []cloud.FixedIP{{SubnetID: s.SubnetID, Addr: s.CIDR.Addr().Next().Next()}}})
	}
	put(&cloud.Server{
		ServerID: driveServer, ProjectID: driveProject, Number: 2, Name: "c2 <&> žluť", HostName: "c2", Host: hopNode, ConfigDrive: true,
		Power: cloud.PowerOn, Tree: "host", Flavor: cloud.Flavor{Name: "m1.tiny", RAM: 64, Ephemeral: 1, Swap: 64}, AvailabilityZone: "nova",
		KeyName: "k", KeyType: "ssh", PublicKey: "ssh-ed25519 AAAA k\n", Metadata: map[string]string{"role": "web"}, SecurityGroups: []string{"default"},
		UserData: blobs.add([]byte("#!/bin/sh\n\x00\xff")), Ports: []cloud.PortID{"port0", "port1"},
		Files: []cloud.InjectedFile{{Path: "/etc/one.conf", Blob: blobs.add([]byte("one\n"))}, {Path: "/root/two", Blob: blobs.add([]byte{0, 255})}},
	})
	return m
}

// paperNode is a driver and a fabric that do nothing but say that an instance
// would start now.
type paperNode struct {
	computeagent.Driver
	computeagent.Ports
	started chan cloud.ServerID
}

func (p paperNode) List() ([]cloud.ServerID, error) { return nil, nil }

func (p paperNode) Status(cloud.ServerID) (cloud.InstanceState, time.Time, error) {
	return cloud.InstanceBuilding, time.Time{}, nil
}

func (p paperNode) Start(ctx context.Context, d cloud.DesiredInstance, _ string, _ func(*os.File) error) error {
	select {
	case p.started <- d.ID:
	case <-ctx.Done():
	}
	<-ctx.Done()
	return ctx.Err()
}

func (p paperNode) Unplug(cloud.PortID) error                                 { return nil }
func (p paperNode) Sweep(fabric.Class, map[cloud.PortID]bool) error           { return nil }
func (p paperNode) Stop(context.Context, cloud.ServerID, time.Duration) error { return nil }

// bootDrive has a node start the server and returns its drive as the server
// would find it.
func bootDrive(t *testing.T, m *cloud.Model, told *openstack.Instance, format configdrive.Format) fs.FS {
	t.Helper()
	slice := plan.For(m, hopNode)
	inst := slice.Instances[driveServer]
	inst.Drive = told.Encode()
	slice.Instances[driveServer] = inst
	p := paperNode{started: make(chan cloud.ServerID)}
	dir := t.TempDir()
	agent := computeagent.New(computeagent.Config{
		Driver: p, Ports: p, Report: func(r cloud.Report) {
			if r.Instance != nil && r.Instance.Fault != "" {
				t.Errorf("the node reports: %s", r.Instance.Fault)
			}
		}, Dir: dir, Drive: configdrive.Volume{Format: format, Publisher: "Imprint"},
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- agent.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	agent.Apply(slice)
	select {
	case <-p.started:
	case <-time.After(10 * time.Second):
		t.Fatal("the instance does not start")
	}
	b, err := os.ReadFile(filepath.Join(dir, string(driveServer), "disk.config"))
	if err != nil {
		t.Fatal(err)
	}
	var drive fs.FS
	if format == configdrive.VFAT {
		drive, err = vfat.Open(bytes.NewReader(b), int64(len(b)))
	} else {
		drive, err = iso9660.Open(bytes.NewReader(b), int64(len(b)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return drive
}

// asker asks the metadata service at url as an agent does, for one server.
type asker struct {
	url     string
	server  cloud.ServerID
	project cloud.ProjectID
}

func (a asker) ask(t *testing.T, path string) string {
	t.Helper()
	req, err := http.NewRequest("GET", a.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(cloud.HeaderInstanceID, string(a.server))
	req.Header.Set(cloud.HeaderTenantID, string(a.project))
	req.Header.Set(cloud.HeaderInstanceSignature, cloud.Signature(hopSecret, a.server))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, %v: %s", path, res.StatusCode, err, b)
	}
	return string(b)
}

var randomSeed = regexp.MustCompile(`"random_seed": "[A-Za-z0-9+/]{683}="`)

// TestDriveAndServiceTellTheSame has a node make the drive of a server, reads
// it back, and compares every document with the service's answer over HTTP.
func TestDriveAndServiceTellTheSame(t *testing.T) {
	blobs := heldBlobs{}
	m := driveModel(blobs)
	index := metadata.NewIndex(metadata.Site{Domain: "novalocal", FlatInjected: true}, still{m}, blobs, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- index.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	for range index.Changes(ctx) {
		if _, err := index.Instance(driveServer); err == nil {
			break
		}
	}
	told, err := index.Instance(driveServer)
	if err != nil {
		t.Fatal(err)
	}
	service, err := metadata.NewService(index, hopSecret, nil)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(service)
	defer server.Close()
	for _, format := range []configdrive.Format{configdrive.ISO9660, configdrive.VFAT} {
		t.Run(string(format), func(t *testing.T) {
			drive := bootDrive(t, m, told, format)
			service := asker{server.URL, driveServer, driveProject}
			if seen := compareDocuments(t, drive, service); seen < 50 {
				t.Errorf("only %d documents", seen)
			}
			compareLists(t, drive, service)
			for name, want := range map[string]string{"0001": "one\n", "0002": "\x00\xff"} {
				if b, err := fs.ReadFile(drive, "openstack/content/"+name); err != nil || string(b) != want {
					t.Errorf("content %s: %q, %v", name, b, err)
				}
			}
		})
	}
}

// driveAlone is what meta_data.json tells on a drive only, files and password.
var driveAlone = regexp.MustCompile(`"files": \[[^\]]*\], |"admin_pass": "[^"]*", `)

// compareDocuments asks the service for each document of the drive, and returns
// how many it compared.
func compareDocuments(t *testing.T, drive fs.FS, service asker) (seen int) {
	t.Helper()
	injected := injectedFiles(t, drive)
	err := fs.WalkDir(drive, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(drive, name)
		if err != nil {
			return err
		}
		if injected[name] {
			return nil
		}
		seen++
		switch base := path.Base(name); base {
		case "meta-data.json":
			compareEC2(t, b, service, "/"+path.Dir(name)+"/meta-data")
		default:
			got, answer := string(b), service.ask(t, "/"+name)
			if base == "meta_data.json" {
				got = driveAlone.ReplaceAllString(got, "")
				got, answer = randomSeed.ReplaceAllString(got, "SEED"), randomSeed.ReplaceAllString(answer, "SEED")
			}
			if diff := cmp.Diff(answer, got); diff != "" {
				t.Errorf("%s: -service +drive\n%s", name, diff)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return seen
}

// injectedFiles are the places on the drive of the server's own files.
func injectedFiles(t *testing.T, drive fs.FS) map[string]bool {
	t.Helper()
	b, err := fs.ReadFile(drive, "openstack/latest/meta_data.json")
	if err != nil {
		t.Fatal(err)
	}
	m, err := openstack.ParseMetaData(b)
	if err != nil {
		t.Fatal(err)
	}
	injected := map[string]bool{}
	for _, f := range m.Files {
		injected["openstack"+f.ContentPath] = true
	}
	return injected
}

// compareLists looks on the drive for all that the service lists.
func compareLists(t *testing.T, drive fs.FS, service asker) {
	t.Helper()
	for version := range strings.Lines(service.ask(t, "/openstack")) {
		version = strings.TrimSpace(version)
		for name := range strings.Lines(service.ask(t, "/openstack/"+version)) {
			if name = strings.TrimSpace(name); name == "password" {
				continue
			}
			if _, err := fs.Stat(drive, path.Join("openstack", version, name)); err != nil {
				t.Errorf("the service lists %s/%s: %v", version, name, err)
			}
		}
	}
}

// compareEC2 compares the drive's one document with the service's tree.
func compareEC2(t *testing.T, b []byte, service asker, at string) {
	t.Helper()
	var tree any
	if err := json.Unmarshal(b, &tree); err != nil {
		t.Fatal(err)
	}
	for place, text := range leaves(tree, at) {
		if got := service.ask(t, place); got != text {
			t.Errorf("%s: the drive has %q, the service %q", place, text, got)
		}
	}
}

// leaves returns what the service would answer at each place below a node of
// the document.
func leaves(node any, at string) map[string]string {
	all := map[string]string{}
	switch node := node.(type) {
	case map[string]any:
		for name, child := range node {
			if name == "_name" {
				continue // the service lists it
			}
			for place, text := range leaves(child, at+"/"+name) {
				all[place] = text
			}
		}
	case []any:
		var lines []string
		for _, line := range node {
			lines = append(lines, fmt.Sprint(line))
		}
		all[at] = strings.Join(lines, "\n")
	case float64:
		all[at] = strconv.FormatFloat(node, 'f', -1, 64)
	default:
		all[at] = fmt.Sprint(node)
	}
	return all
}
