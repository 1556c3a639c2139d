package datasource

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imprint/base/rootfs"
	"imprint/guest/datasource/identify"
)

// machine is one that was made up: files, DMI values, and what programs would
// say of it.
type machine struct {
	name    string
	dmi     map[string]string
	files   map[string]string
	cmdline string
	arch    string // x86_64 unless said
	virt    string // kvm unless said
	kernel  string // uname -v
	volumes []identify.Volume
	init    string // the first process's environment
	// asked are the network sources that may be asked.
	asked []string
}

func vendor(key, value string) map[string]string { return map[string]string{key: value} }

func seedOf(dir string, names ...string) map[string]string {
	files := map[string]string{}
	for _, n := range names {
		files["/var/lib/cloud/seed/"+dir+"/"+n] = ""
	}
	return files
}

func cfg(text string) map[string]string { return map[string]string{"/etc/cloud/cloud.cfg": text} }

func iso9660Volume(device, label string) identify.Volume {
	return identify.Volume{Device: device, Type: "iso9660", Labels: []string{label}}
}

func fatVolume(labels ...string) identify.Volume {
	return identify.Volume{Device: "/dev/vdb", Type: "vfat", Labels: labels, UUID: "9796-932E"}
}

const debianList = "datasource_list: [ NoCloud, ConfigDrive, OpenStack, CloudStack, Ec2, AltCloud, OVF, MAAS, GCE, None ]\n"

// machines are the table of the oracle test.
func machines() []machine {
	nova := vendor("product_name", "OpenStack Nova")
	identity := func(text string) map[string]string { return map[string]string{"/etc/cloud/ds-identify.cfg": text} }
	amazon := map[string]string{"product_uuid": "EC2E1916-9099-7CAF-FD21-012345ABCDEF", "product_serial": "ec2e1916-9099-7caf-fd21-012345abcdef"}
	return []machine{
		{name: "nothing"},
		{name: "nothing, on ARM", arch: "aarch64"},
		{name: "nothing, on a PC of old", arch: "i686"},
		{name: "nova", dmi: nova, asked: []string{"OpenStack"}},
		{name: "nova on ARM", dmi: nova, arch: "aarch64", asked: []string{"OpenStack"}},
		{name: "nova in a container", dmi: nova, virt: "lxc"},
		{name: "nova's container", virt: "lxc", init: "container=lxc\x00product_name=OpenStack Nova\x00", asked: []string{"OpenStack"}},
		{name: "rdo", dmi: vendor("product_name", "OpenStack Compute"), asked: []string{"OpenStack"}},
		{name: "by asset tag", dmi: vendor("chassis_asset_tag", "OpenTelekomCloud"), asked: []string{"OpenStack"}},
		{name: "another asset tag", dmi: vendor("chassis_asset_tag", "SAP CCloud VM"), asked: []string{"OpenStack"}},
		{name: "nova by asset tag", dmi: vendor("chassis_asset_tag", "OpenStack Nova"), asked: []string{"OpenStack"}},
		{name: "huawei", dmi: vendor("chassis_asset_tag", "HUAWEICLOUD"), asked: []string{"OpenStack"}},
		{name: "nova with a drive", dmi: nova, volumes: []identify.Volume{iso9660Volume("/dev/sr0", "config-2")}, asked: []string{"OpenStack"}},
		{name: "a drive, FAT, capitals", volumes: []identify.Volume{fatVolume("CONFIG-2")}},
		{name: "a drive in a container", virt: "docker", volumes: []identify.Volume{fatVolume("CONFIG-2")}},
		{name: "a drive's directory", files: seedOf("config_drive/openstack/2012-08-10", "meta_data.json")},
		{name: "a drive's directory, latest", files: seedOf("config_drive/openstack/latest", "meta_data.json")},
		{name: "a drive's directory of another year", files: seedOf("config_drive/openstack/1999-08-10", "meta_data.json")},
		{name: "a seed's volume", volumes: []identify.Volume{iso9660Volume("/dev/sr0", "cidata")}},
		{name: "a seed's volume, capitals", volumes: []identify.Volume{fatVolume("NONE", "CIDATA")}},
		{name: "a seed's volume, mixed", volumes: []identify.Volume{fatVolume("CiData")}},
		{name: "a seed", files: seedOf("nocloud", "meta-data", "user-data")},
		{name: "half a seed", files: seedOf("nocloud", "meta-data")},
		{name: "a seed for the network", files: seedOf("nocloud-net", "meta-data", "user-data")},
		{name: "a seed elsewhere", files: map[string]string{
			"/writable/system-data/var/lib/cloud/seed/nocloud/meta-data": "", "/writable/system-data/var/lib/cloud/seed/nocloud/user-data": ""}},
		{name: "a seed by serial", dmi: vendor("product_serial", "ds=nocloud-net;s=http://10.0.0.1/"), asked: []string{"NoCloud"}},
		{name: "a seed by command line", cmdline: "ro ds=nocloud;i=abc quiet"},
		{name: "a seed in the configuration", files: cfg("datasource:\n  NoCloud:\n    meta-data: |\n      a: b\n    user-data: |\n      x\n")},
		{name: "half a seed in the configuration", files: cfg("datasource:\n  NoCloud:\n    meta-data: {a: b}\n")},
		{name: "seed and drive", volumes: []identify.Volume{iso9660Volume("/dev/sr0", "cidata"), fatVolume("config-2")}},
		{name: "seed and drive, the first", volumes: []identify.Volume{iso9660Volume("/dev/sr0", "cidata"), fatVolume("config-2")},
			cmdline: "ci.di.policy=search,found=first"},
		{name: "amazon", dmi: amazon, asked: []string{"Ec2"}},
		{name: "amazon by half", dmi: vendor("product_uuid", "ec2e1916")},
		{name: "amazon by Xen", files: map[string]string{"/sys/hypervisor/uuid": "ec2e1916-9099\n"}, virt: "xen", asked: []string{"Ec2"}},
		{name: "amazon in a container", dmi: amazon, virt: "docker"},
		{name: "brightbox", dmi: vendor("product_serial", "srv-1.gb1.brightbox.com"), asked: []string{"Ec2"}},
		{name: "zstack", dmi: vendor("chassis_asset_tag", "123.zstack.io"), asked: []string{"Ec2"}},
		{name: "outscale", dmi: map[string]string{"product_name": "3DS Outscale VM", "sys_vendor": "3DS Outscale"}, asked: []string{"Ec2"}},
		{name: "e24cloud", dmi: vendor("sys_vendor", "e24cloud"), asked: []string{"Ec2"}},
		{name: "ec2 perhaps", files: cfg("datasource:\n Ec2:\n  strict_id: false\n")},
		{name: "ec2 perhaps, allowed", files: cfg("datasource:\n Ec2:\n  strict_id: warn,5\n"), cmdline: "ci.di.policy=maybe=all"},
		{name: "ec2 and openstack perhaps", arch: "ppc64le", cmdline: "ci.datasource.ec2.strict_id=warn ci.di.policy=search,maybe=all"},
		{name: "a wrong strict_id", files: identity("ci.datasource.ec2.strict_id: perhaps\npolicy: search,maybe=all\n")},
		{name: "strict_id of its own file", files: map[string]string{"/etc/cloud/cloud.cfg.d/99_Ec2.cfg": "datasource:\n Ec2:\n  strict_id: false # no\n",
			"/etc/cloud/ds-identify.cfg": "policy: 'search,maybe=all'\n"}},
		{name: "strict_id elsewhere", files: map[string]string{"/etc/cloud/cloud.cfg.d/99_other.cfg": "strict_id: false\n"}, cmdline: "ci.di.policy=maybe=all"},
		{name: "a seed for ec2", files: seedOf("ec2", "meta-data", "user-data")},
		{name: "aliyun", dmi: vendor("product_name", "Alibaba Cloud ECS"), asked: []string{"AliYun"}},
		{name: "a list of one", files: cfg("datasource_list: [ OpenStack ]\n"), asked: []string{"OpenStack"}},
		{name: "a list of one and None", files: cfg("datasource_list: [ Ec2, None ]\n"), asked: []string{"Ec2"}},
		{name: "a list of one, but nova", dmi: nova, files: cfg("datasource_list: ['Ec2', \"None\"]\n"), asked: []string{"Ec2"}},
		{name: "None before it", files: cfg("datasource_list: [None, Ec2]\n")},
		{name: "Debian's list", files: cfg(debianList)},
		{name: "Debian's list, nova", files: cfg(debianList), dmi: nova, asked: []string{"OpenStack"}},
		{name: "Debian's list, aliyun", files: cfg(debianList), dmi: vendor("product_name", "Alibaba Cloud ECS")},
		{name: "a list over many lines", files: cfg("datasource_list:\n - OpenStack\n - None\n"), dmi: nova, asked: []string{"OpenStack"}},
		{name: "a list without an end", files: cfg("datasource_list: [OpenStack]")},
		{name: "the later list", files: map[string]string{"/etc/cloud/cloud.cfg": debianList,
			"/etc/cloud/cloud.cfg.d/10_a.cfg": "datasource_list: [ OpenStack ]\n", "/etc/cloud/cloud.cfg.d/20_b.cfg": "datasource_list: [ Ec2, Foo ] # mine\n",
			"/etc/cloud/cloud.cfg.d/30_c.txt": "datasource_list: [ None ]\n"}},
		{name: "a list by command line", cmdline: "cc:{'datasource_list': ['OpenStack']} quiet", asked: []string{"OpenStack"}},
		{name: "a list by command line, for nova", cmdline: "cc:{datasource_list: [OpenStack, Ec2]}end_cc", dmi: nova, asked: []string{"OpenStack"}},
		{name: "named by command line", cmdline: "ci.ds=OpenStack", asked: []string{"OpenStack"}},
		{name: "named by command line, None", cmdline: "ci.datasource=None"},
		{name: "named by file", files: identity("datasource: Ec2\n"), asked: []string{"Ec2"}},
		{name: "named twice", files: identity("datasource: Ec2\n"), cmdline: "ci.ds=AliYun ci.datasource=OpenStack", asked: []string{"OpenStack"}},
		{name: "disabled", files: identity("policy: disabled\n"), dmi: nova, asked: []string{"OpenStack"}},
		{name: "enabled", files: identity("# all of it\n  policy :  \"enabled\" # now\n"), asked: nil},
		{name: "report of nothing", cmdline: "ci.di.policy=report"},
		{name: "report of nova", cmdline: "ci.di.policy=report", dmi: nova, asked: []string{"OpenStack"}},
		{name: "report of perhaps", cmdline: "ci.di.policy=report,maybe=all ci.datasource.ec2.strict_id=false", arch: "aarch64"},
		{name: "not found, enabled", cmdline: "ci.di.policy=search,notfound=enabled"},
		{name: "a policy with mistakes", cmdline: "ci.di.policy=found=some,maybe=,notfound=perhaps,else=1,,x"},
		{name: "kept by hand", files: map[string]string{"/var/lib/cloud/instance/manual-clean": ""}, dmi: nova, asked: []string{"OpenStack"}},
		{name: "azure", dmi: vendor("chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77")},
		{name: "azure by volume", virt: "microsoft", volumes: []identify.Volume{{Device: "/dev/sr0", Type: "udf", Labels: []string{"rd_rdfe_stable.161212-1209"}}}},
		{name: "gce", dmi: vendor("product_serial", "GoogleCloud-1234")},
		{name: "digital ocean", dmi: vendor("sys_vendor", "DigitalOcean")},
		{name: "cloudstack", dmi: vendor("product_name", "CloudStack KVM Hypervisor")},
		{name: "exoscale", dmi: vendor("product_name", "Exoscale Compute Platform")},
		{name: "cloudsigma", dmi: vendor("product_name", "CloudSigma")},
		{name: "hetzner and nwcs and upcloud", dmi: vendor("sys_vendor", "Hetzner")},
		{name: "vultr by command line", cmdline: "a vultr b"},
		{name: "scaleway", cmdline: "scaleway"},
		{name: "oracle", dmi: vendor("chassis_asset_tag", "OracleCloud.com")},
		{name: "opennebula", volumes: []identify.Volume{iso9660Volume("/dev/sr0", "CONTEXT")}},
		{name: "rbx", volumes: []identify.Volume{fatVolume("CLOUDMD")}},
		{name: "bigstep", files: map[string]string{"/var/lib/cloud/data/seed/bigstep/url": "x"}},
		{name: "smartos", dmi: vendor("product_name", "SmartDC HVM")},
		{name: "smartos's zone", kernel: "BrandZ virtual linux", files: map[string]string{"/native/.zonecontrol/metadata.sock": ""}},
		{name: "maas", cmdline: "iscsi_target_name=iqn.2004-05.com.ubuntu:maas:x cloud-config-url=http://m/"},
		{name: "maas, installed", files: map[string]string{"/etc/cloud/cloud.cfg.d/90_maas.cfg": "datasource:\n  MAAS: {consumer_key: a}\n"}},
		{name: "lxd", virt: "qemu", dmi: vendor("board_name", "LXD")},
		{name: "ibm", virt: "xen", volumes: []identify.Volume{fatVolume("config-2")}},
		{name: "ibm's metadata", virt: "xen", volumes: []identify.Volume{{Device: "/dev/xvdh", Type: "vfat", Labels: []string{"METADATA"}, UUID: "1"}}},
		{name: "ibm, being made", virt: "xen", files: map[string]string{"/root/provisioningConfiguration.cfg": ""}, volumes: []identify.Volume{fatVolume("config-2")}},
		{name: "ovf", volumes: []identify.Volume{iso9660Volume("/dev/sr0", "OVF ENV")}},
		{name: "ovf on hardware", virt: "none", volumes: []identify.Volume{iso9660Volume("/dev/sr0", "OVFENV")}},
		{name: "vmware's customization", virt: "vmware", dmi: vendor("sys_vendor", "VMware, Inc."), files: map[string]string{"/etc/cloud/cloud.cfg": "disable_vmware_customization: false\n",
			"/usr/lib/open-vm-tools/plugins/vmsvc/libdeployPkgPlugin.so": ""}},
		{name: "backslashes", files: identity("datasource: E\\\nc2\n"), asked: []string{"Ec2"}},
	}
}

// build lays the machine down.
func (m machine) build(t testing.TB) *rootfs.Root {
	t.Helper()
	root, err := rootfs.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	write := func(name, text string) {
		if err := root.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := root.MkdirAll("/sys/class/dmi/id", 0o755); err != nil {
		t.Fatal(err)
	}
	for key, value := range m.dmi {
		write("/sys/class/dmi/id/"+key, value+"\n")
	}
	for name, text := range m.files {
		write(name, text)
	}
	write("/proc/cmdline", m.cmdline+"\n")
	if m.init != "" {
		write("/proc/1/environ", m.init)
	}
	if err := root.MkdirAll("/run/cloud-init", 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

// gathered is what our own look at the machine finds, but for what a program
// says of the running system.
func (m machine) gathered(t *testing.T, root Files) identify.Evidence {
	t.Helper()
	e := Gather(Env{Root: root, Arch: m.uname()})
	e.Virt, e.KernelVersion, e.Volumes = m.runsOn(), m.kernel, m.volumes
	if m.runsOn() == "lxc" || m.runsOn() == "docker" {
		e.CommandLine = ""
	}
	return e
}

func (m machine) uname() string {
	if m.arch != "" {
		return m.arch
	}
	return "x86_64"
}

func (m machine) runsOn() string {
	if m.virt != "" {
		return m.virt
	}
	return "kvm"
}

// blkid is the output of blkid -o export.
func (m machine) blkid() string {
	var b strings.Builder
	for _, v := range m.volumes {
		fmt.Fprintf(&b, "DEVNAME=%s\n", v.Device)
		for n, l := range v.Labels {
			fmt.Fprintf(&b, "%s=%s\n", []string{"LABEL", "LABEL_FATBOOT"}[n], l)
		}
		fmt.Fprintf(&b, "UUID=%s\nTYPE=%s\n\n", v.UUID, v.Type)
	}
	return b.String()
}

// real runs ds-identify over the machine.
func (m machine) real(t *testing.T, script, dir string) (config string, status int) {
	t.Helper()
	program := `DI_MAIN=noop; . "$SCRIPT"
detect_virt() { _RET="$VIRT"; }
blkid() { printf %s "$BLKID"; [ -n "$BLKID" ] || echo DEVNAME=/dev/none; }
uname() { echo "Linux host 6.1 $KERNEL $ARCH GNU/Linux"; }
is_socket_file() { return 1; }
dmidecode() { return 1; }
DI_LOG=$PATH_ROOT/log
main`
	cmd := exec.Command("sh", "-c", program)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "SCRIPT=" + script, "PATH_ROOT=" + dir, "VIRT=" + m.runsOn(),
		"BLKID=" + m.blkid(), "KERNEL=" + m.kernel, "ARCH=" + m.uname()}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "run/cloud-init/cloud.cfg"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if t.Failed() {
		t.Log(string(out))
	}
	return string(b), cmd.ProcessState.ExitCode()
}

func dsIdentify(t testing.TB) string {
	t.Helper()
	tree, err := exec.Command("../../test/debian-tree").Output()
	if err != nil {
		t.Skipf("the real cloud-init is not there: %v", err)
	}
	return filepath.Join(strings.TrimSpace(string(tree)), "usr/lib/cloud-init/ds-identify")
}

// The real ds-identify decides the same and writes the same file.
func TestIdentityAsDsIdentify(t *testing.T) {
	script := dsIdentify(t)
	for _, m := range machines() {
		t.Run(m.name, func(t *testing.T) {
			root := m.build(t)
			got := identify.Identify(m.gathered(t, root))
			config, status := m.real(t, script, root.Dir())
			if d := cmp.Diff(config, got.Config()); d != "" {
				t.Errorf("file:\n%s%s", d, got.Explain())
			}
			if (status == 0) != got.Enabled {
				t.Errorf("status %d\n%s", status, got.Explain())
			}
		})
	}
}

// Which network sources may be asked: only those that the machine, or its
// administrator, names.
func TestTrust(t *testing.T) {
	for _, m := range machines() {
		t.Run(m.name, func(t *testing.T) {
			got := identify.Identify(m.gathered(t, m.build(t)))
			var asked []string
			for _, name := range []string{"NoCloud", "OpenStack", "Ec2", "AliYun"} {
				if ok, why := got.Trusts(name); ok {
					asked = append(asked, name)
				} else if why == "" {
					t.Errorf("%s: no reason", name)
				}
			}
			if !slices.Equal(asked, m.asked) {
				t.Errorf("asked %q, want %q\n%s", asked, m.asked, got.Explain())
			}
			if text := got.Explain(); strings.Count(text, "\n") < 4+len(got.Checks)-1 {
				t.Errorf("explained as\n%s", text)
			}
		})
	}
}

// The decision alone.
func BenchmarkIdentify(b *testing.B) {
	e := Gather(Env{Root: files{"/sys/class/dmi/id/product_name": "OpenStack Nova\n", "/etc/cloud/cloud.cfg": debianList}, Arch: "x86_64"})
	b.ReportAllocs()
	for b.Loop() {
		if r := identify.Identify(e); !r.Enabled {
			b.Fatal("disabled")
		}
	}
}

// The look at a machine and the decision, beside the real ds-identify.
func BenchmarkIdentified(b *testing.B) {
	m := machine{dmi: vendor("product_name", "OpenStack Nova"), files: cfg(debianList)}
	root := m.build(b)
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if id := (Env{Root: root, Disks: DevDisks{root}, Arch: "x86_64"}).Identified().Identity; !id.Enabled {
				b.Fatal("disabled")
			}
		}
	})
	b.Run("ds-identify", func(b *testing.B) {
		script := dsIdentify(b)
		for b.Loop() {
			cmd := exec.Command("sh", script, "--force")
			cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "PATH_ROOT=" + root.Dir()}
			if out, err := cmd.CombinedOutput(); cmd.ProcessState == nil {
				b.Fatalf("%v %s", err, out)
			}
		}
	})
}
