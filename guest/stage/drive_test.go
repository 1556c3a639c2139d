package stage

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imprint/base/iso9660"
	"imprint/guest/clouddir"
	"imprint/guest/netstate"
)

const driveID = "d8e02d56-2648-49a3-bf97-6be8f1204f38"

// staticData is a network_data.json without DHCP.
const staticData = `{"links": [{"id": "l", "type": "ovs", "ethernet_mac_address": "fa:16:3e:00:00:01"}],
	"networks": [{"id": "n", "link": "l", "type": "ipv4", "ip_address": "18.18.18.5", "netmask": "255.255.255.0"}],
	"services": [{"type": "dns", "address": "192.0.2.53"}]}`

const staticInterfaces = `auto eth0
iface eth0 inet static
    hwaddress ether fa:16:3e:00:00:01
    address 18.18.18.6
    netmask 255.255.255.0
    dns-nameservers 192.0.2.54
`

// insert puts a config drive into the machine, as a file in the place of a
// device. meta is what meta_data.json has besides uuid and hostname.
func (m *machine) insert(meta map[string]any, docs map[string]string) {
	m.t.Helper()
	all := map[string]any{"uuid": driveID, "hostname": "c2.novalocal"}
	for k, v := range meta {
		all[k] = v
	}
	doc, err := json.Marshal(all)
	if err != nil {
		m.t.Fatal(err)
	}
	im := iso9660.Image{Volume: iso9660.Volume{Label: "config-2"}}
	add := func(name, text string) {
		im.Files = append(im.Files, iso9660.File{Path: name, Size: int64(len(text)),
			Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }})
	}
	add("openstack/latest/meta_data.json", string(doc))
	for name, text := range docs {
		add("openstack/"+name, text)
	}
	var b bytes.Buffer
	if _, err := im.WriteTo(&b); err != nil {
		m.t.Fatal(err)
	}
	if err := m.root.WriteFile("/dev/sr0", b.Bytes(), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func TestConfigDrive(t *testing.T) {
	m := newMachine(t)
	m.source.inst = openstack("i-other", "other", "")
	m.insert(nil, map[string]string{"latest/network_data.json": staticData, "latest/user_data": "#!/bin/sh\n"})
	if errs := m.start(); len(errs) > 0 {
		t.Fatal(errs)
	}
	if m.source.crawled != 0 {
		t.Error("the metadata service was asked")
	}
	if diff := cmp.Diff([]string{"up eth0/static"}, m.network.calls); diff != "" {
		t.Errorf("network: %s", diff)
	}
	r := m.report()
	if r.Detail != "DataSourceConfigDrive [net,ver=2][source=/dev/sr0]" || r.Datasource != "configdrive" || len(r.Warnings) > 0 {
		t.Errorf("%+v", r)
	}
	for name, want := range map[string]string{
		"/etc/hostname":                                "c2\n",
		"/run/cloud-init/cloud-id":                     "configdrive\n",
		"/var/lib/cloud/instance/datasource":           "DataSourceConfigDrive: DataSourceConfigDrive [net,ver=2][source=/dev/sr0]\n",
		"/etc/network/interfaces.d/50-cloud-init":      "    address 18.18.18.5/24\n",
		"/run/cloud-init/instance-data.json":           `"subplatform": "config-disk (/dev/sr0)"`,
		"/run/cloud-init/instance-data-sensitive.json": `"ec2_metadata": {}`,
	} {
		if got := m.read(name); !strings.Contains(got, want) {
			t.Errorf("%s is %q", name, got)
		}
	}
	// The drive is gone and nobody else answers: the instance stays.
	if err := m.root.Remove("/dev/sr0"); err != nil {
		t.Fatal(err)
	}
	m.source.inst, m.network.calls = nil, nil
	m.start()
	if got := m.read("/var/lib/cloud/data/instance-id"); got != driveID+"\n" || m.counts["instance"] != 1 {
		t.Errorf("instance id %q, modules %v", got, m.counts)
	}
	if diff := cmp.Diff([]string{"up eth0/dhcp4", "down eth0/dhcp4", "up eth0/static"}, m.network.calls); diff != "" {
		t.Errorf("network: %s", diff)
	}
	// Firmware knows the instance: nobody is asked at all.
	m.write("/sys/class/dmi/id/product_name", "OpenStack Nova\n")
	m.write("/sys/class/dmi/id/product_uuid", driveID+"\n")
	m.source.crawled, m.network.calls = 0, nil
	m.start()
	if diff := cmp.Diff([]string{"up eth0/static"}, m.network.calls); diff != "" || m.source.crawled > 0 {
		t.Errorf("network: %s", diff)
	}
}

func TestBrokenConfigDrive(t *testing.T) {
	m := newMachine(t)
	m.insert(map[string]any{"uuid": "../../etc"}, nil)
	m.source.inst = openstack("i-1", "c1", "")
	if errs := m.start(); len(errs) > 0 {
		t.Fatal(errs)
	}
	r := m.report()
	if r.Detail != "DataSourceOpenStackLocal [net,ver=2]" || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "/dev/sr0") || !strings.Contains(r.Warnings[0], "uuid") {
		t.Errorf("%+v", r)
	}
}

func TestNetworkOfConfigDrive(t *testing.T) {
	for name, c := range map[string]struct {
		docs    map[string]string
		address string // in the interfaces file
		calls   []string
	}{
		"network_data.json goes first": {map[string]string{"latest/network_data.json": staticData}, "address 18.18.18.5/24", []string{"up eth0/static"}},
		"network_config":               {nil, "address 18.18.18.6/24", []string{"up eth0/static"}},
		"another machine's": {map[string]string{"content/0000": strings.ReplaceAll(staticInterfaces, "00:01", "00:99")},
			"eth0 inet dhcp", []string{"up eth0/dhcp4"}},
		"DHCP": {map[string]string{"latest/network_data.json": strings.NewReplacer(`"ipv4", "ip_address": "18.18.18.5"`, `"ipv4_dhcp"`).Replace(staticData)},
			"eth0 inet dhcp", []string{"up eth0/dhcp4"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			docs := map[string]string{"content/0000": staticInterfaces}
			for k, v := range c.docs {
				docs[k] = v
			}
			m.insert(map[string]any{"network_config": map[string]string{"content_path": "/content/0000"}}, docs)
			if errs := m.start(); len(errs) > 0 {
				t.Fatal(errs)
			}
			if got := m.read("/etc/network/interfaces.d/50-cloud-init"); !strings.Contains(got, c.address) {
				t.Errorf("interfaces: %s", got)
			}
			if diff := cmp.Diff(c.calls, m.network.calls); diff != "" {
				t.Errorf("network: %s", diff)
			}
		})
	}
}

// Every NIC gets what the drive says of it, whatever its name.
func TestConfigDriveOfTwoNICs(t *testing.T) {
	m := newMachine(t)
	m.network.nics = []netstate.NIC{{Name: "ens4", MAC: "fa:16:3e:00:00:02"}, {Name: "ens3", MAC: "fa:16:3e:00:00:01"}}
	m.insert(map[string]any{"network_config": map[string]string{"content_path": "/content/0000"}}, map[string]string{"content/0000": staticInterfaces +
		"auto eth1\niface eth1 inet dhcp\nhwaddress ether fa:16:3e:00:00:02\n"})
	if errs := m.start(); len(errs) > 0 {
		t.Fatal(errs)
	}
	if diff := cmp.Diff([]string{"up ens3/static ens4/dhcp4"}, m.network.calls); diff != "" {
		t.Error(diff)
	}
}

func TestNameServersOfTheDistribution(t *testing.T) {
	for name, want := range map[string]string{"": "nameserver 192.0.2.53\n", "/usr/sbin/resolvconf": "old"} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.write("/usr/sbin/ifup", "")
			m.write("/etc/systemd/system/multi-user.target.wants/networking.service", "")
			m.write("/etc/resolv.conf", "old")
			if name != "" {
				m.write(name, "")
			}
			m.insert(nil, map[string]string{"latest/network_data.json": staticData})
			if errs := m.start(); len(errs) > 0 || len(m.network.calls) > 0 {
				t.Error(errs, m.network.calls)
			}
			if got := m.read("/etc/resolv.conf"); got != want {
				t.Errorf("resolv.conf is %q", got)
			}
			// The administrator's own stays.
			m.write("/etc/resolv.conf", "mine")
			m.start()
			if got := m.read("/etc/resolv.conf"); got != "mine" {
				t.Errorf("resolv.conf is %q", got)
			}
		})
	}
}

func injected(paths ...string) map[string]any {
	var files []map[string]string
	for _, p := range paths {
		files = append(files, map[string]string{"path": p, "content_path": "/content/0000"})
	}
	return map[string]any{"files": files}
}

func TestInjectedFiles(t *testing.T) {
	m := newMachine(t)
	m.write("/srv/own", "old")
	if err := m.root.Chown("/srv/own", 7, 8); err != nil {
		t.Skip(err)
	}
	outside := t.TempDir()
	for name, target := range map[string]string{"/etc/outside": outside, "/etc/link": "/srv/linked"} {
		if err := m.root.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
	}
	m.insert(injected("/etc/a/one", "etc/two", "/../../../etc/three", "/srv/own", "/etc/link", "/etc/outside/x", "/etc", "//etc//four", "/etc/five\x00"),
		map[string]string{"content/0000": "content"})
	if errs := m.start(); len(errs) > 0 {
		t.Fatal(errs)
	}
	for _, name := range []string{"/etc/a/one", "/etc/two", "/etc/three", "/srv/own", "/srv/linked", outside + "/x", "/etc/four"} {
		info, err := m.root.Lstat(name)
		if err != nil {
			t.Error(err)
			continue
		}
		owner := info.Sys().(*syscall.Stat_t)
		if got := m.read(name); got != "content" || info.Mode() != 0o660 || (owner.Uid == 7 && owner.Gid == 8) != (name == "/srv/own") {
			t.Errorf("%s is %q, %s, of %d:%d", name, got, info.Mode(), owner.Uid, owner.Gid)
		}
	}
	if warned := strings.Join(m.report().Warnings, "\n"); strings.Count(warned, "Failed writing file") != 2 || !strings.Contains(warned, "write /etc:") {
		t.Errorf("warnings: %s", warned)
	}
	if _, err := os.Stat(outside + "/x"); err == nil {
		t.Error("a file left the root")
	}
	// Once for an instance.
	m.write("/etc/two", "mine")
	m.start()
	if got := m.read("/etc/two"); got != "mine" {
		t.Errorf("%q", got)
	}
	next := injected("/etc/two")
	next["uuid"] = "another"
	m.insert(next, map[string]string{"content/0000": "new"})
	m.start()
	if got := m.read("/etc/two"); got != "new" {
		t.Errorf("%q", got)
	}
}

// An instance whose data apply in the local stage is set up when that ends.
func TestLocalMode(t *testing.T) {
	m := newMachine(t)
	m.insert(map[string]any{"meta": map[string]string{"dsmode": "local"}}, map[string]string{"latest/network_data.json": staticData})
	if errs := m.boot().RunLocal(t.Context()); len(errs) > 0 {
		t.Fatal(errs)
	}
	if m.live != "c2" || m.counts["instance"] != 1 || m.counts["always"] != 1 {
		t.Errorf("%q, %v", m.live, m.counts)
	}
	if errs := m.boot().RunInit(t.Context()); len(errs) > 0 || m.counts["always"] != 1 {
		t.Errorf("%q, %v", errs, m.counts)
	}
	m.boot().RunConfig(t.Context())
	m.boot().RunFinal(t.Context())
	if r := m.report(); r.State != clouddir.Done || r.Detail != "DataSourceConfigDrive [local,ver=2][source=/dev/sr0]" {
		t.Errorf("%+v", r)
	}
}

// A drive may leave all but files and network to the metadata service.
func TestPassMode(t *testing.T) {
	m := newMachine(t)
	m.source.inst = openstack("i-1", "c1", "")
	meta := injected("/etc/one")
	meta["meta"] = map[string]string{"dsmode": "pass"}
	m.insert(meta, map[string]string{"latest/network_data.json": staticData, "content/0000": "content"})
	if errs := m.start(); len(errs) > 0 {
		t.Fatal(errs)
	}
	if r := m.report(); r.Detail != "DataSourceOpenStackLocal [net,ver=2]" || m.live != "c1" {
		t.Errorf("%+v, %q", r, m.live)
	}
	if diff := cmp.Diff([]string{"up eth0/static"}, m.network.calls); diff != "" {
		t.Errorf("network: %s", diff)
	}
	if got := m.read("/etc/one"); got != "content" {
		t.Errorf("%q", got)
	}
	if _, err := m.root.Stat("/var/lib/cloud/instances/" + driveID); err == nil {
		t.Error("the drive's instance is there")
	}
}
