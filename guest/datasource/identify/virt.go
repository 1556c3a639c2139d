package identify

import "strings"

// DetectVirt is what runs the machine, in systemd-detect-virt's words, from
// what containers say of themselves and from firmware: the variable container
// of the first process, or /run/systemd/container; the DMI values of vendor,
// product and BIOS; /sys/hypervisor/type. "none" where nothing tells.
// systemd 252: basic/virt.c. The processor's own word is not asked for; it is
// needed only to tell kvm from qemu where firmware says QEMU.
func DetectVirt(container string, hypervisor string, dmi ...string) string {
	switch container {
	case "":
	case "lxc", "lxc-libvirt", "systemd-nspawn", "docker", "podman", "rkt", "wsl", "proot", "pouch":
		return container
	case "oci":
		return "docker"
	default:
		return "container-other"
	}
	for _, value := range dmi {
		for _, known := range vendors {
			if strings.HasPrefix(value, known.prefix) {
				return known.virt
			}
		}
	}
	if hypervisor == "xen" {
		return "xen"
	}
	return "none"
}

// vendors are the beginnings of DMI values.
var vendors = [...]struct{ prefix, virt string }{
	{"KVM", "kvm"}, {"OpenStack", "kvm"}, {"KubeVirt", "kvm"}, {"Amazon EC2", "amazon"}, {"QEMU", "qemu"},
	{"VMware", "vmware"}, {"VMW", "vmware"}, {"innotek GmbH", "oracle"}, {"VirtualBox", "oracle"}, {"Xen", "xen"},
	{"Bochs", "bochs"}, {"Parallels", "parallels"}, {"BHYVE", "bhyve"}, {"Hyper-V", "microsoft"},
	{"Apple Virtualization", "apple"}, {"Google Compute Engine", "google"},
}
