package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"imprint/base/iso9660"
	"imprint/guest/datasource"
	"imprint/guest/netapply"
	"imprint/guest/netstate"
	"imprint/guest/stage"
)

// driveImage is a config drive with this tree.
func driveImage(t *testing.T, tree map[string]string) []byte {
	t.Helper()
	im := iso9660.Image{Volume: iso9660.Volume{Label: "config-2"}}
	for name, text := range tree {
		im.Files = append(im.Files, iso9660.File{Path: name, Size: int64(len(text)),
			Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }})
	}
	var b bytes.Buffer
	if _, err := im.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// oneNIC is a network that takes any configuration.
type oneNIC struct{ stage.NoNetwork }

func (oneNIC) NICs() ([]netstate.NIC, error) {
	return []netstate.NIC{{Name: "eth0", MAC: "52:54:00:12:34:56"}}, nil
}

func (oneNIC) Up(context.Context, *netstate.State) (netapply.Result, error) {
	return netapply.Result{}, nil
}

// The same drive leaves the same state as with the real cloud-init; see the
// head of testdata/configdrive.txtar.
func TestGoldenConfigDrive(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	t.Parallel()
	archive, err := txtar.ParseFile("testdata/configdrive.txtar")
	if err != nil {
		t.Fatal(err)
	}
	drive, want := map[string]string{}, map[string]string{}
	for _, f := range archive.Files {
		if name, ok := strings.CutPrefix(f.Name, "drive/"); ok {
			drive[name] = string(f.Data)
		} else {
			want[strings.TrimPrefix(f.Name, "want")] = string(f.Data)
		}
	}
	root := debian(t)
	if err := root.WriteFile("/dev/loop0", driveImage(t, drive), 0o600); err != nil {
		t.Fatal(err)
	}
	bootAll(t, root, datasource.NewConfigDrive(""), oneNIC{})
	for line := range strings.Lines(want["/tree"]) {
		f := strings.Fields(line) // type, mode, owner, path, arrow, target
		got, err := describe(root, goldenFile{Path: f[3]})
		if err != nil {
			t.Error(err)
			continue
		}
		w := goldenFile{Path: f[3], Type: f[0], Mode: strings.Trim(f[1], "-"), Owner: f[2]}
		if len(f) == 6 {
			w.Target = f[5]
		}
		if d := cmp.Diff(w, got); d != "" {
			t.Errorf("(-cloud-init +ours):\n%s", d)
		}
	}
	compared := 0
	for name, text := range want {
		if !strings.HasPrefix(name, "/var/") {
			continue
		}
		compared++
		data, err := root.ReadFile(name)
		if d := cmp.Diff(text, string(bytes.TrimRight(data, "\n"))+"\n"); err != nil || d != "" {
			t.Errorf("%s (-cloud-init +ours): %v\n%s", name, err, d)
		}
	}
	if compared < 10 {
		t.Errorf("%d files compared", compared)
	}
	data, err := root.ReadFile("/run/cloud-init/instance-data.json")
	if err != nil {
		t.Fatal(err)
	}
	compareInstanceData(t, want["/instance-data.json"], data)
}

// compareInstanceData leaves out what is of the machine rather than of the
// drive. The secrets that are not for everybody here, all can read there.
func compareInstanceData(t *testing.T, want string, got []byte) {
	t.Helper()
	var w, g struct {
		Encoded []string       `json:"base64_encoded_keys"`
		DS      map[string]any `json:"ds"`
		V1      map[string]any `json:"v1"`
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatal(err)
	}
	meta := w.DS["meta_data"].(map[string]any)
	for _, secret := range []string{"admin_pass", "random_seed"} {
		meta[secret] = "redacted for non-root user"
	}
	for _, v1 := range []map[string]any{w.V1, g.V1} {
		maps.DeleteFunc(v1, func(key string, _ any) bool {
			return strings.HasPrefix(key, "distro") || key == "kernel_release" || key == "python_version" ||
				key == "system_platform" || key == "variant" || key == "machine"
		})
	}
	if d := cmp.Diff(w, g); d != "" {
		t.Errorf("instance data (-cloud-init +ours):\n%s", d)
	}
}

// A drive alone, without DHCP and without a metadata service.
func TestBootFromConfigDrive(t *testing.T) {
	t.Parallel()
	g := newGuest(t)
	tree := map[string]string{
		"openstack/2018-08-27/meta_data.json": `{"uuid": "d8e02d56-2648-49a3-bf97-6be8f1204f38", "hostname": "c2.novalocal",
			"public_keys": {"k": "ssh-ed25519 AAAA1 k"}, "network_config": {"name": "network_config", "content_path": "/content/0000"},
			"files": [{"path": "/etc/one.conf", "content_path": "/content/0001"}, {"path": "srv/deep/two.bin", "content_path": "/content/0002"}]}`,
		"openstack/2018-08-27/network_data.json": `{"links": [{"id": "tap0", "type": "bridge", "ethernet_mac_address": "` + guestMAC + `", "mtu": 1450}],
			"networks": [{"id": "network0", "link": "tap0", "type": "ipv4", "ip_address": "18.18.18.5", "netmask": "255.255.255.0",
				"routes": [{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "18.18.18.1"}]}],
			"services": [{"type": "dns", "address": "18.18.18.53"}]}`,
		"openstack/content/0000": "auto eth0\niface eth0 inet static\n    hwaddress ether " + guestMAC + "\n    address 18.18.18.6\n    netmask 255.255.255.0\n",
		"openstack/content/0001": "one\n", "openstack/content/0002": "\x00two",
	}
	boot := func(address string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(g.root, "drive"), driveImage(t, tree), 0o600); err != nil {
			t.Fatal(err)
		}
		name, took := g.boot()
		t.Logf("boot took %s", took)
		if name != "c2" || took > 2*time.Second { // a lease alone is waited for twice as long
			t.Errorf("host name %q after %s", name, took)
		}
		if got := g.ip(g.ns, "addr show eth0"); !strings.Contains(got, address) || strings.Count(got, "inet ") != 1 {
			t.Errorf("addresses: %s", got)
		}
	}
	boot("inet 18.18.18.5/24")
	if got := g.inGuest("/cloud-init status --long"); !strings.Contains(got, "status: done") || !strings.Contains(got, "DataSourceConfigDrive [net,ver=2][source=/dev/sr0]") {
		t.Errorf("status: %s", got)
	}
	for file, want := range map[string]string{
		"etc/hostname": "c2\n", "etc/resolv.conf": "nameserver 18.18.18.53\n", "etc/one.conf": "one\n", "srv/deep/two.bin": "\x00two",
		"home/debian/.ssh/authorized_keys": "ssh-ed25519 AAAA1 k\n", "etc/network/interfaces.d/50-cloud-init": "address 18.18.18.5/24\n",
	} {
		if got := g.read(file); !strings.Contains(got, want) {
			t.Errorf("%s is %q, want %q in it", file, got, want)
		}
	}
	if got := g.ip(g.ns, "route show"); !strings.Contains(got, "default via 18.18.18.1 dev eth0") {
		t.Errorf("routes: %s", got)
	}
	// An older drive, of the same server: its other form of the network.
	delete(tree, "openstack/2018-08-27/network_data.json")
	boot("inet 18.18.18.6/24")
	// Without the drive the server stays who it was.
	if err := os.Remove(filepath.Join(g.root, "drive")); err != nil {
		t.Fatal(err)
	}
	name, took := g.boot()
	if name != "c2" {
		t.Errorf("host name %q", name)
	}
	t.Logf("boot without the drive took %s", took)
	if got := g.ip(g.ns, "addr show eth0"); !strings.Contains(got, "18.18.18.6/24") {
		t.Errorf("addresses: %s", got)
	}
}
