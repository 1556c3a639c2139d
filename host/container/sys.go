package container

import (
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"imprint/host/cloud"
)

// sysKept are the parts of the kernel's /sys that an instance sees: its own
// network interfaces. All else is made up.
var sysKept = []string{"class/net", "devices/virtual/net"}

// sysDirs are there and empty.
var sysDirs = []string{
	"block", "bus", "class/block", "class/dmi/id", "class/net", "dev/block", "dev/char",
	"devices/system/cpu", "devices/virtual/net", "firmware", "fs/cgroup", "kernel", "module", "power",
}

// cpuFiles tell how many processors there are. Linux: Documentation/ABI/testing/sysfs-devices-system-cpu
var cpuFiles = []string{"online", "possible", "present"}

// dmi is what the machine's tables say of an OpenStack instance.
// nova: virt/libvirt/driver.py _get_guest_config_sysinfo, 26.2.2
func dmi(id cloud.ServerID) map[string]string {
	return map[string]string{
		"bios_vendor":       "SeaBIOS",
		"chassis_asset_tag": "OpenStack Nova",
		"chassis_vendor":    "OpenStack Foundation",
		"product_family":    "Virtual Machine",
		"product_name":      "OpenStack Nova",
		"product_serial":    string(id),
		"product_uuid":      string(id),
		"sys_vendor":        "OpenStack Foundation",
	}
}

// mountSys mounts a /sys that is made up but for [sysKept], read-only.
func mountSys(root tree, kernel *os.File, dmi map[string]string) error {
	if err := root.attach(kernel, "sys"); err != nil {
		return err
	}
	made, err := makeSys(root, dmi)
	if err != nil {
		return err
	}
	kept := map[string]*os.File{}
	for _, name := range sysKept {
		if kept[name], err = root.clone("sys/" + name); err != nil {
			return err
		}
	}
	if err := unix.Unmount("/sys", unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
		return err
	}
	if err := root.attach(made, "sys"); err != nil {
		return err
	}
	for _, name := range sysKept {
		if err := root.attach(kept[name], "sys/"+name); err != nil {
			return err
		}
	}
	return nil
}

func makeSys(root tree, dmi map[string]string) (*os.File, error) {
	m, err := newMount("tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC, "mode=0555", "size=256k")
	if err != nil {
		return nil, err
	}
	for _, d := range sysDirs {
		if err := (tree{m}).mkdirs(d, 0o755, 0); err != nil {
			return nil, err
		}
	}
	for name, value := range dmi {
		mode := uint32(0o444)
		if strings.HasSuffix(name, "_uuid") || strings.HasSuffix(name, "_serial") {
			mode = 0o400
		}
		if err := newFile(m, path.Join("class/dmi/id", name), value+"\n", mode); err != nil {
			return nil, err
		}
	}
	for _, name := range cpuFiles {
		name = "devices/system/cpu/" + name
		value, err := os.ReadFile("/sys/" + name)
		if err != nil {
			continue // an odd kernel: the instance does without
		}
		if err := newFile(m, name, string(value), 0o444); err != nil {
			return nil, err
		}
	}
	return m, setAttrs(m, unix.MOUNT_ATTR_RDONLY)
}
