package lab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"imprint/host/configdrive"
)

// readDrive has the real cloud-init read a tree as its ConfigDrive data source
// does, once it has mounted a drive (cloud-init 22.4:
// sources/DataSourceConfigDrive.py, read_config_drive).
const readDrive = `
import base64, json, sys
from cloudinit.sources import DataSourceConfigDrive as drive
found = drive.read_config_drive(sys.argv[1])
print(json.dumps({
    "version": found["version"], "uuid": found["metadata"]["uuid"], "ec2": found["ec2-metadata"]["instance-id"],
    "user": base64.b64encode(found.get("userdata") or b"").decode(), "vendor": found.get("vendordata"), "links": found["networkdata"]["links"],
    "files": {path: base64.b64encode(body).decode() for path, body in found["files"].items()},
}))
`

// TestRealCloudInitReadsTheDrive hands the real cloud-init what other programs
// take off our drives, in both formats.
func TestRealCloudInitReadsTheDrive(t *testing.T) {
	python := cloudInit(t)
	i := capturedInstances(t)["c3"]
	for _, format := range []configdrive.Format{configdrive.ISO9660, configdrive.VFAT} {
		t.Run(string(format), func(t *testing.T) {
			name, dir := filepath.Join(t.TempDir(), "disk.config"), t.TempDir()
			if err := (configdrive.Volume{Format: format}).WriteFile(name, i); err != nil {
				t.Fatal(err)
			}
			unpack := exec.Command("bsdtar", "-xf", name, "-C", dir)
			if format == configdrive.VFAT {
				unpack = exec.Command("mcopy", "-s", "-n", "-i", name, "::ec2", "::openstack", dir)
			}
			if out, err := unpack.CombinedOutput(); err != nil {
				t.Fatalf("%v: %v\n%s", unpack.Args, err, out)
			}
			out := runCloudInit(t, python, readDrive, dir)
			var got struct {
				Version   int
				UUID, EC2 string
				User      []byte
				Vendor    map[string]any
				Links     []any
				Files     map[string][]byte
			}
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatal(err)
			}
			if got.Version != 2 || got.UUID != i.UUID || got.EC2 != i.EC2.InstanceID || !bytes.Equal(got.User, i.UserData) ||
				got.Vendor["cloud-init"] == nil || len(got.Links) != len(i.Ports) {
				t.Errorf("cloud-init read %s", out)
			}
			for _, f := range i.Files {
				if !bytes.Equal(got.Files[f.Path], f.Content) {
					t.Errorf("%s is %q for cloud-init", f.Path, got.Files[f.Path])
				}
			}
		})
	}
}

// readNoCloud has the real cloud-init take a NoCloud volume's files, and make
// interfaces(5) of its network configuration.
const readNoCloud = `
import json, sys
from cloudinit import util
from cloudinit.net import eni, network_state
seed = util.pathprefix2dict(sys.argv[1] + "/", required=["user-data", "meta-data"], optional=["vendor-data", "network-config"])
meta, network = util.load_yaml(seed["meta-data"]), util.load_yaml(seed["network-config"])
state = network_state.parse_net_config_data(network)
eni.Renderer({"eni_path": "eni", "eni_header": ""}).render_network_state(state, target=sys.argv[2])
print(json.dumps({"meta": meta, "eni": open(sys.argv[2] + "/eni").read()}))
`

// TestRealCloudInitReadsNoCloud: what a NoCloud volume tells of an instance is
// understood.
func TestRealCloudInitReadsNoCloud(t *testing.T) {
	python := cloudInit(t)
	for name, i := range capturedInstances(t) {
		i.Files = nil
		file, dir := filepath.Join(t.TempDir(), "seed.iso"), t.TempDir()
		if err := (configdrive.Volume{Label: configdrive.NoCloud}).WriteFile(file, i); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("bsdtar", "-xf", file, "-C", dir).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		var got struct {
			Meta map[string]any
			ENI  string
		}
		if err := json.Unmarshal(runCloudInit(t, python, readNoCloud, dir, t.TempDir()), &got); err != nil {
			t.Fatal(err)
		}
		if got.Meta["instance-id"] != i.UUID || got.Meta["local-hostname"] != i.Hostname {
			t.Errorf("%s: %v", name, got.Meta)
		}
		for n, p := range i.Ports {
			for _, s := range p.Subnets {
				want := fmt.Sprintf("iface eth%d inet dhcp", n)
				switch {
				case s.AddressMode != "" || s.DHCP && !s.CIDR.Addr().Is4():
					continue
				case !s.DHCP && len(s.Addrs) > 0:
					want = fmt.Sprintf("address %s/%d", s.Addrs[0], s.CIDR.Bits())
				}
				if !strings.Contains(got.ENI, want) {
					t.Errorf("%s: no %q in\n%s", name, want, got.ENI)
				}
			}
		}
	}
}

// runCloudInit runs a script with the real cloud-init's modules.
func runCloudInit(t *testing.T, modules, script string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("python3", append([]string{"-c", script}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+modules, "PYTHONDONTWRITEBYTECODE=1")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cloud-init: %v\n%s", err, said.String())
	}
	return out
}

// cloudInit returns the directory of the real cloud-init's modules, built with
// its root file system on the first call.
func cloudInit(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	cmd := exec.Command("../debian-tree")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == 2 {
		t.Skip(said.String())
	}
	if err != nil {
		t.Fatalf("debian-tree: %v\n%s", err, said.String())
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "usr/lib/python3/dist-packages")
	if _, err := fs.Stat(os.DirFS(dir), "cloudinit"); err != nil {
		t.Fatal(err)
	}
	return dir
}
