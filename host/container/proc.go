package container

import (
	"errors"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// procHidden are the parts of /proc that tell of the machine or act on it: the
// list of container runtimes and more. Files read as empty, directories are.
var procHidden = []string{
	"acpi", "asound", "bootconfig", "bus", "config.gz", "diskstats", "driver", "dynamic_debug", "fs",
	"interrupts", "iomem", "ioports", "irq", "kallsyms", "kcore", "key-users", "keys", "kmsg", "kpagecgroup",
	"kpagecount", "kpageflags", "latency_stats", "modules", "mtrr", "pagetypeinfo", "partitions",
	"sched_debug", "schedstat", "scsi", "slabinfo", "sysrq-trigger", "timer_list", "timer_stats",
	"vmallocinfo", "xen", "zoneinfo",
}

// cmdline is the kernel's command line as an instance sees it: the real one is
// the machine's.
const cmdline = "root=LABEL=rootfs ro console=ttyS0\n"

// mountProc mounts /proc with what does not belong to the instance covered.
func mountProc(root tree, proc *os.File) error {
	if err := root.attach(proc, "proc"); err != nil {
		return err
	}
	// The settings of its network namespace are the instance's own.
	net, err := root.clone("proc/sys/net")
	if err != nil {
		return err
	}
	sys, err := root.clone("proc/sys")
	if err != nil {
		return err
	}
	if err := setAttrs(sys, unix.MOUNT_ATTR_RDONLY); err != nil {
		return err
	}
	if err := root.attach(sys, "proc/sys"); err != nil {
		return err
	}
	if err := root.attach(net, "proc/sys/net"); err != nil {
		return err
	}
	if err := coverCmdline(root); err != nil {
		return err
	}
	return hide(root, "proc", procHidden)
}

func coverCmdline(root tree) error {
	m, err := newMount("tmpfs", 0, "size=64k")
	if err != nil {
		return err
	}
	if err := newFile(m, "cmdline", cmdline, 0o444); err != nil {
		return err
	}
	// A file can be bound from what is attached only: it passes by /tmp.
	if err := root.attach(m, "tmp"); err != nil {
		return err
	}
	file, err := root.clone("tmp/cmdline")
	if err != nil {
		return err
	}
	if err := unix.Unmount("/tmp", unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
		return err
	}
	if err := setAttrs(file, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV); err != nil {
		return err
	}
	return root.attach(file, "proc/cmdline")
}

// hide covers those of the names in dir that exist.
func hide(root tree, dir string, names []string) error {
	for _, name := range slices.Sorted(slices.Values(names)) {
		if err := hideOne(root, dir+"/"+name); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return nil
}

func hideOne(root tree, name string) error {
	at, err := root.open(name)
	if err != nil {
		return err
	}
	st, err := stat(at)
	at.Close()
	if err != nil {
		return err
	}
	var cover *os.File
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		cover, err = newMount("tmpfs", unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV, "size=4k")
	} else {
		cover, err = root.clone("dev/null")
	}
	if err != nil {
		return err
	}
	return root.attach(cover, name)
}

func stat(f *os.File) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstatat(int(f.Fd()), "", &st, unix.AT_EMPTY_PATH)
	return st, err
}
