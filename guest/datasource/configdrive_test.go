package datasource

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imprint/base/cloudconfig"
	"imprint/base/iso9660"
	"imprint/base/rootfs"
	"imprint/base/vfat"
	"imprint/guest/netstate"
)

// disks are volumes by the names of their devices.
type disks map[string][]byte

func (d disks) List() []string { return slices.Collect(maps.Keys(d)) }

func (d disks) Open(name string) (Disk, error) {
	b, ok := d[name]
	if !ok || b == nil {
		return nil, errors.New("no medium found")
	}
	return memDisk{bytes.NewReader(b)}, nil
}

type memDisk struct{ *bytes.Reader }

func (memDisk) Close() error { return nil }

func opener(text string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
}

func iso(t testing.TB, label string, tree map[string]string) []byte {
	t.Helper()
	im := iso9660.Image{Volume: iso9660.Volume{Label: label}}
	for name, text := range tree {
		im.Files = append(im.Files, iso9660.File{Path: name, Size: int64(len(text)), Open: opener(text)})
	}
	return written(t, im)
}

func fat(t testing.TB, label string, tree map[string]string) []byte {
	t.Helper()
	im := &vfat.Image{Label: label}
	for name, text := range tree {
		im.Files = append(im.Files, vfat.File{Path: name, Size: int64(len(text)), Open: opener(text)})
	}
	return written(t, im)
}

func written(t testing.TB, im io.WriterTo) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := im.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// captured is a drive that a real Nova made.
func captured(t testing.TB, name string) []byte {
	t.Helper()
	packed, err := os.Open("testdata/configdrive-" + name + ".iso.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	z, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func crawlDrive(t testing.TB, d disks) (*Instance, error) {
	t.Helper()
	return NewConfigDrive("").Crawl(t.Context(), Env{Root: files{}, Disks: d})
}

func TestConfigDriveOfNova(t *testing.T) {
	base := Instance{
		Name: "ConfigDrive", Class: "DataSourceConfigDrive", Mode: "net", Version: 2, Drive: "/dev/sr0",
		CloudName: "configdrive", Platform: "configdrive", AvailabilityZone: "peer-az", VendorData: []byte(seedVendorData),
	}
	for name, edit := range map[string]func(*Instance){
		"c2": func(i *Instance) { i.LocalHostname, i.FQDN = "c2", "c2.novalocal" },
		"c3": func(i *Instance) {
			i.InstanceID, i.LocalHostname, i.FQDN = "ac4d5b9f-3064-43fd-b44c-78c3b4440892", "c3", "c3.novalocal"
			i.PublicKeys, i.UserData = []string{seedKey}, []byte(seedUserData)
			i.Files = []File{{"/etc/one.conf", []byte("file one\n")}, {"/root/two.bin", []byte("file two \x00\x01\xff binary\n")}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			image := captured(t, name)
			e := NewConfigDrive("").Detect(Env{Root: files{}, Disks: disks{"/dev/sr0": image}})
			if e.Verdict != Present || e.Network || !strings.Contains(e.Reason, "/dev/sr0") {
				t.Errorf("%+v", e)
			}
			i, err := crawlDrive(t, disks{"/dev/sr0": image, "/dev/sr1": nil, "/dev/vda": make([]byte, 1<<20)})
			if err != nil {
				t.Fatal(err)
			}
			want := base
			edit(&want)
			got := told(i)
			if name == "c2" {
				got.InstanceID, got.PublicKeys = "", nil // random ones
				checkStatic(t, i)
			}
			got.Interfaces = nil
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			if i.String() != "DataSourceConfigDrive [net,ver=2][source=/dev/sr0]" || i.Subplatform != "config-disk (/dev/sr0)" {
				t.Errorf("%q, %q", i, i.Subplatform)
			}
			if text(i.EC2, "instance-type") != "m1.full" && text(i.EC2, "hostname") != i.FQDN {
				t.Errorf("EC2 %s", i.EC2)
			}
			unchangedByJSON(t, i)
		})
	}
}

// checkStatic compares c2's two forms of its network configuration.
func checkStatic(t *testing.T, i *Instance) {
	t.Helper()
	nics := []netstate.NIC{{Name: "ens3", MAC: "fa:16:3e:b9:a5:ef"}}
	old := *i
	old.NetworkData = nil
	for _, i := range []*Instance{i, &old} {
		state, problems, err := i.Network(nics)
		if err != nil || len(problems) > 0 || len(state.Links) != 1 {
			t.Fatalf("%+v, %q, %v", state, problems, err)
		}
		l := state.Links[0]
		var addrs []netip.Prefix
		for _, s := range l.Subnets {
			addrs = append(addrs, s.Address)
		}
		want := []netip.Prefix{netip.MustParsePrefix("10.10.3.25/24"), netip.MustParsePrefix("2001:db8:3::293/64")}
		if l.Name != "ens3" || !slices.Equal(addrs, want) {
			t.Errorf("%s: %v", l.Name, addrs)
		}
	}
}

const driveMeta = "openstack/latest/meta_data.json"

// drive is a small one.
func driveTree(edit ...string) map[string]string {
	tree := map[string]string{driveMeta: `{"uuid": "u1", "hostname": "h.test"}`}
	for n := 0; n+1 < len(edit); n += 2 {
		if tree[edit[n]] = edit[n+1]; edit[n+1] == "" {
			delete(tree, edit[n])
		}
	}
	return tree
}

func TestConfigDriveIsFound(t *testing.T) {
	good, other := driveTree(), driveTree(driveMeta, `{"uuid": "u2"}`)
	big := append(iso(t, "config-2", good), make([]byte, 3000)...)
	for name, c := range map[string]struct {
		disks  disks
		source string // of u1; "" for none
	}{
		"nothing":             {disks{}, ""},
		"ISO":                 {disks{"/dev/sr0": iso(t, "config-2", good)}, "/dev/sr0"},
		"ISO, upper case":     {disks{"/dev/sr0": iso(t, "CONFIG-2", good)}, "/dev/sr0"},
		"FAT":                 {disks{"/dev/vdb": fat(t, "config-2", good)}, "/dev/vdb"},
		"FAT, upper case":     {disks{"/dev/vdb": fat(t, "CONFIG-2", good)}, "/dev/vdb"},
		"a partition":         {disks{"/dev/sda": make([]byte, 4096), "/dev/sda3": fat(t, "config-2", good)}, "/dev/sda3"},
		"with a tail":         {disks{"/dev/sr0": big}, "/dev/sr0"},
		"another label":       {disks{"/dev/sr0": iso(t, "cidata", good), "/dev/vdb": fat(t, "Config-2", good)}, ""},
		"the last disk first": {disks{"/dev/vda": iso(t, "config-2", other), "/dev/vdb": fat(t, "config-2", good)}, "/dev/vdb"},
		"next to a broken one": {disks{"/dev/vdc": iso(t, "config-2", driveTree(driveMeta, "{")),
			"/dev/vdb": iso(t, "config-2", map[string]string{"x": "y"}), "/dev/vda": iso(t, "config-2", good)}, "/dev/vda"},
	} {
		t.Run(name, func(t *testing.T) {
			e := NewConfigDrive("").Detect(Env{Disks: c.disks})
			i, err := crawlDrive(t, c.disks)
			if c.source == "" {
				if err == nil || e.Verdict != Absent {
					t.Errorf("%+v, %+v", e, i)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if e.Verdict != Present || i.Drive != c.source || i.InstanceID != "u1" || i.EC2.Kind != cloudconfig.KindMap {
				t.Errorf("%+v, %+v", e, i)
			}
		})
	}
}

func TestConfigDriveDocuments(t *testing.T) {
	many := `{"uuid": "u1", "files": [` + strings.Repeat(`{"path": "/a", "content_path": "/content/0000"},`, maxFiles) + `{}]}`
	for _, c := range []struct {
		name  string
		tree  map[string]string
		wrong string // in the error, "" for none
	}{
		{"the newest known version", driveTree("openstack/2012-08-10/meta_data.json", `{"uuid": "old"}`,
			"openstack/2018-08-27/meta_data.json", `{"uuid": "u1"}`, "openstack/2031-01-01/meta_data.json", `{"uuid": "new"}`), ""},
		{"neither version", map[string]string{"openstack/latest/user_data": "x"}, "no meta_data.json"},
		{"no uuid", driveTree(driveMeta, `{}`), "uuid"},
		{"a uuid that is a path", driveTree(driveMeta, `{"uuid": "../../etc"}`), "uuid"},
		{"a list", driveTree(driveMeta, `[]`), "no object"},
		{"too large", driveTree("openstack/latest/user_data", strings.Repeat("x", maxDocument+1)), "user_data: document is too large"},
		{"a directory", driveTree("openstack/latest/user_data/x", "y"), "no regular file"},
		{"vendor data of no use", driveTree("openstack/latest/vendor_data.json", "{"), ""},
		{"EC2 of no use", driveTree("ec2/latest/meta-data.json", "{"), ""},
		{"a file without a path", driveTree(driveMeta, `{"uuid": "u1", "files": [{"content_path": "/content/0000"}, 1]}`), ""},
		{"a file that is missing", driveTree(driveMeta, `{"uuid": "u1", "files": [{"path": "/a", "content_path": "/content/0000"}]}`), `"/a"`},
		{"content without a path", driveTree(driveMeta, `{"uuid": "u1", "files": [{"path": "/a"}]}`), "content_path"},
		{"content of elsewhere", driveTree(driveMeta, `{"uuid": "u1", "files": [{"path": "/a", "content_path": "/../ec2/x"}]}`, "ec2/x", "y"), "content_path"},
		{"too many files", driveTree(driveMeta, many, "openstack/content/0000", "x"), "the limit is"},
		{"no network_config", driveTree(driveMeta, `{"uuid": "u1", "network_config": {"content_path": "/content/0000"}}`), "network_config"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i, err := crawlDrive(t, disks{"/dev/sr0": iso(t, "config-2", c.tree)})
			switch {
			case c.wrong == "" && (err != nil || i.InstanceID != "u1"):
				t.Errorf("%+v, %v", i, err)
			case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong) || !strings.Contains(err.Error(), "/dev/sr0")):
				t.Errorf("%+v, %v", i, err)
			}
		})
	}
}

func TestConfigDriveMode(t *testing.T) {
	for _, c := range []struct{ said, configured, want string }{
		{"", "", "net"}, {"local", "", "local"}, {"net", "local", "net"}, {"", "local", "local"}, {"", "pass", "pass"},
		{"pass", "", "pass"}, {"whenever", "", "net"}, {"disabled", "", "disabled"}, {"", "disabled", "disabled"},
	} {
		t.Run(c.said+" "+c.configured, func(t *testing.T) {
			meta := fmt.Sprintf(`{"uuid": "u1", "meta": {"dsmode": %q}}`, c.said)
			env := Env{Disks: disks{"/dev/sr0": iso(t, "config-2", driveTree(driveMeta, meta))}}
			var passed *Instance
			env.Pass = func(i *Instance) { passed = i }
			i, all := Find(t.Context(), env, []Source{NewConfigDrive(c.configured), NewNone(NoneSettings{})})
			switch {
			case c.want == "pass":
				if i.Name != "None" || passed == nil || passed.InstanceID != "u1" || !strings.Contains(all[0].Error, "dsmode pass") {
					t.Errorf("%+v, %+v, %+v", i, passed, all)
				}
			case c.want == "disabled":
				if i.Name != "None" || passed != nil || !strings.Contains(all[0].Error, "disabled") {
					t.Errorf("%+v, %+v, %+v", i, passed, all)
				}
			case i.Mode != c.want || i.Name != "ConfigDrive" || passed != nil || (c.said == "whenever") != (len(i.Problems) > 0):
				t.Errorf("%+v", i)
			}
		})
	}
}

func TestConfigDriveOfVersion1(t *testing.T) {
	const eni = "auto eth0\niface eth0 inet static\naddress 10.0.0.5\nnetmask 255.0.0.0\n"
	tree := map[string]string{"etc/network/interfaces": eni, "root/.ssh/authorized_keys": "# by nova\nssh-rsa AAAA a\n\n",
		"meta.js": `{"dsmode": "net", "instance-id": "i-5", "user-data": "#!/bin/sh\n"}`}
	i, err := crawlDrive(t, disks{"/dev/vdb": fat(t, "config-2", tree)})
	if err != nil {
		t.Fatal(err)
	}
	want := Instance{Name: "ConfigDrive", Class: "DataSourceConfigDrive", Mode: "net", Version: 1, Drive: "/dev/vdb",
		CloudName: "configdrive", Platform: "configdrive", InstanceID: "i-5", PublicKeys: []string{"ssh-rsa AAAA a"},
		UserData: []byte("#!/bin/sh\n"), Interfaces: []byte(eni)}
	if d := cmp.Diff(want, told(i)); d != "" {
		t.Error(d)
	}
	delete(tree, "meta.js")
	i, err = crawlDrive(t, disks{"/dev/vdb": fat(t, "config-2", tree)})
	if err != nil || i.InstanceID != defaultDriveID || string(i.Interfaces) != eni || i.Mode != "net" {
		t.Errorf("%+v, %v", i, err)
	}
	tree["meta.js"] = `{"instance-id": "a/b"}`
	if i, err := crawlDrive(t, disks{"/dev/vdb": fat(t, "config-2", tree)}); err == nil {
		t.Errorf("%+v", i)
	}
}

func TestConfigDriveInDirectory(t *testing.T) {
	root := files{"/config-drive/x/y": "", "/var/lib/cloud/seed/config_drive/" + driveMeta: `{"uuid": "u1"}`,
		"/var/lib/cloud/seed/config_drive/openstack/latest/user_data": "x"}
	i, err := NewConfigDrive("").Crawl(t.Context(), Env{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	const dir = "/var/lib/cloud/seed/config_drive"
	if i.Subplatform != "seed-dir ("+dir+")" || i.Line() != "DataSourceConfigDrive: DataSourceConfigDrive [net,ver=2][source="+dir+"]" || string(i.UserData) != "x" {
		t.Errorf("%+v", i)
	}
}

func TestConfigDriveInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewConfigDrive("").Crawl(ctx, Env{Disks: disks{"/dev/sr0": iso(t, "config-2", driveTree())}}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestDevDisks(t *testing.T) {
	dir := t.TempDir()
	root, err := rootfs.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	image := iso(t, "config-2", driveTree())
	for _, name := range []string{"/dev/vda1", "/dev/mapper/drive", "/dev/notes"} {
		if err := root.WriteFile(name, image, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"/dev/disk/by-label/config-2": "../../mapper/drive", "/dev/sr0": "/dev/vda1"} {
		if err := root.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "dev/sdb"), 0o755), mkfifo(filepath.Join(dir, "dev/sdc"))); err != nil {
		t.Fatal(err)
	}
	d := DevDisks{root}
	names := slices.Sorted(slices.Values(d.List()))
	if diff := cmp.Diff([]string{"/dev/disk/by-label/CIDATA", "/dev/disk/by-label/CONFIG-2",
		"/dev/disk/by-label/cidata", "/dev/mapper/drive", "/dev/sdb", "/dev/sdc", "/dev/sr0", "/dev/vda1"}, names); diff != "" {
		t.Error(diff)
	}
	for _, name := range names {
		disk, err := d.Open(name)
		if good := slices.Contains([]string{"/dev/mapper/drive", "/dev/sr0", "/dev/vda1"}, name); good != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			if disk.Size() != int64(len(image)) {
				t.Errorf("%s has %d bytes", name, disk.Size())
			}
			disk.Close()
		}
	}
	i, err := NewConfigDrive("").Crawl(t.Context(), Env{Root: root, Disks: d})
	if err != nil || i.Drive != "/dev/vda1" {
		t.Errorf("%+v, %v", i, err)
	}
}

// Damage anywhere in a drive: an error or an instance, and no end of time.
func FuzzConfigDrive(f *testing.F) {
	tree := driveTree(driveMeta, `{"uuid": "u1", "files": [{"path": "/a", "content_path": "/content/0000"}],
		"network_config": {"content_path": "/content/0000"}}`, "openstack/content/0000", "iface eth0 inet dhcp")
	images := [][]byte{iso(f, "config-2", tree), fat(f, "config-2", tree)}
	for which := range images {
		f.Add(which == 0, 0, []byte("\x00"))
		f.Add(which == 0, 16*2048+80, []byte("\xff\xff\xff\xff"))
		f.Add(which == 0, 11, []byte("\x00\x00\x01"))
	}
	f.Fuzz(func(t *testing.T, optical bool, at int, patch []byte) {
		image := images[1]
		if optical {
			image = images[0]
		}
		image = bytes.Clone(image)
		if at >= 0 && at < len(image) {
			copy(image[at:], patch)
		}
		env := Env{Disks: disks{"/dev/sr0": image}}
		e := NewConfigDrive("").Detect(env)
		i, err := NewConfigDrive("").Crawl(t.Context(), env)
		if err == nil && (e.Verdict != Present || !validID(i.InstanceID)) {
			t.Fatalf("%+v, %+v", e, i)
		}
	})
}

func mkfifo(name string) error { return syscall.Mkfifo(name, 0o600) }
