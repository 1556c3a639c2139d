package identify

import (
	"slices"
	"strings"
)

// Evidence is what can be seen of a machine. The zero value is a machine that
// shows nothing.
type Evidence struct {
	Arch          string // as uname -m says
	KernelVersion string // as uname -v says
	// Virt is what runs the machine, in systemd-detect-virt's words; "none" is
	// hardware, "" not known. See [DetectVirt].
	Virt string
	DMI  DMI
	// HypervisorUUID is Xen's word on the machine (/sys/hypervisor/uuid).
	HypervisorUUID string
	// CommandLine is the kernel's or, in a container, the first process's.
	CommandLine string
	// InitProduct is the variable product_name of the first process.
	InitProduct string
	// Volumes are the file systems of all disks. In a container they are the
	// host's and not used.
	Volumes []Volume
	// Files are those of [Paths] and [DriveFiles] that are there.
	Files []string
	// Settings are the options of /etc/cloud/cloud.cfg and of cloud.cfg.d, in
	// the order of the files; Identity those of ds-identify.cfg.
	Settings, Identity []Setting
	// LXDSocket tells that /dev/lxd/sock is a socket, Provisioning that a
	// machine of IBM's is being made.
	LXDSocket, Provisioning bool
}

// DMI are values of /sys/class/dmi/id, trimmed; "" where there is none.
type DMI struct {
	BoardName, ChassisAssetTag, ProductName, ProductSerial, ProductUUID, SysVendor string
}

// Volume is a file system on a block device.
type Volume struct {
	Device string
	Type   string // as blkid says: iso9660, vfat, …
	// Labels are all that it has; FAT has two places for one.
	Labels []string
	UUID   string
	// OVF tells that a small ISO 9660 volume holds an OVF environment.
	OVF bool
}

// Setting is one option of a file.
type Setting struct{ Key, Value, File string }

// Places.
const (
	CloudConfig    = "/etc/cloud/cloud.cfg"
	CloudConfigDir = "/etc/cloud/cloud.cfg.d"
	IdentityConfig = "/etc/cloud/ds-identify.cfg"

	seeds       = "/var/lib/cloud/seed/"
	manualClean = "/var/lib/cloud/instance/manual-clean"
	writable    = "/writable/system-data"
)

// Paths are the files whose being there is evidence on a machine that runs on
// virt.
func Paths(virt string) []string {
	names := []string{manualClean, "/etc/vultr", "/var/run/scaleway", "/native/.zonecontrol/metadata.sock",
		"/var/lib/cloud/data/seed/bigstep/url", seeds + "opennebula/meta-data", seeds + "ovf/ovf-env.xml",
		seeds + "azure/ovf-env.xml", seeds + "config_drive/openstack/latest/meta_data.json"}
	for _, dir := range []string{"nocloud", "nocloud-net", "ec2", "AliYun"} {
		for _, file := range []string{"/meta-data", "/user-data"} {
			names = append(names, seeds+dir+file)
			if strings.HasPrefix(dir, "nocloud") {
				names = append(names, writable+seeds+dir+file)
			}
		}
	}
	if virt == "vmware" {
		names = append(names, pluginPaths()...)
	}
	return names
}

// DriveDirs are directories that may hold a config drive's tree: below
// openstack in them, meta_data.json of each version is evidence too.
func DriveDirs() []string { return []string{"/config-drive", seeds + "config_drive"} }

func (e Evidence) has(name string) bool { return slices.Contains(e.Files, name) }

// seeded tells whether a seed directory has these files.
func (e Evidence) seeded(dir string, files ...string) bool {
	return !slices.ContainsFunc(files, func(f string) bool { return !e.has(dir + "/" + f) })
}

// container: what is seen of hardware and disks is the host's. Containers whose
// kind is not among these are machines of their own.
func (e Evidence) container() bool {
	return slices.Contains([]string{"container-other", "lxc", "lxc-libvirt", "systemd-nspawn", "docker", "rkt", "jail"}, e.Virt)
}

// labelled finds a volume with one of the labels; a * at the end of one stands
// for anything.
func (e Evidence) labelled(labels ...string) (label, device string, ok bool) {
	if e.container() {
		return "", "", false
	}
	for _, v := range e.Volumes {
		for _, have := range v.Labels {
			if slices.ContainsFunc(labels, func(want string) bool { return matches(have, want) }) {
				return have, v.Device, true
			}
		}
	}
	return "", "", false
}

// matches compares with a text that may end in *.
func matches(s, pattern string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(s, prefix)
	}
	return s == pattern
}

// word tells whether a word of the command line starts so, or is so.
func (e Evidence) word(want string) bool {
	return strings.Contains(" "+e.CommandLine+" ", " "+want)
}
