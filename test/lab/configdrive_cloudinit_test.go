package lab

import (
	"bytes"
	"encoding/json"
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
			cmd := exec.Command("python3", "-c", readDrive, dir)
			cmd.Env = append(os.Environ(), "PYTHONPATH="+python, "PYTHONDONTWRITEBYTECODE=1")
			var said bytes.Buffer
			cmd.Stderr = &said
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("cloud-init: %v\n%s", err, said.String())
			}
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
