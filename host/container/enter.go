package container

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"imprint/base/daemon"
)

// enterMain is the first half of an instance's first process: it has root's
// rights over its new namespaces, makes itself at home in them, gives most of
// the rights up, and becomes the init.
func enterMain() int {
	// Capabilities and the control group namespace are a thread's own until the exec.
	runtime.LockOSThread()
	unix.Umask(0o022)
	l := openLink(linkFD)
	err := enter(l)
	l.send(message{Kind: msgFailed, Text: err.Error()})
	return 1
}

func enter(l link) error {
	m, err := l.expect(msgEnter)
	if err != nil {
		return err
	}
	self, err := unix.Open("/proc/self/exe", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open own program: %w", err)
	}
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("make control group namespace: %w", err)
	}
	if err := enterRoot(*m.Boot); err != nil {
		return err
	}
	// The machine's name is none of the instance's business.
	if err := unix.Sethostname([]byte("localhost")); err != nil {
		return fmt.Errorf("set hostname: %w", err)
	}
	if err := unix.Setdomainname(nil); err != nil {
		return fmt.Errorf("set domain name: %w", err)
	}
	if err := limitCapabilities(); err != nil {
		return err
	}
	// no_new_privs is left alone, because su and sudo work in an instance.
	if err := daemon.InstallFilter(filter()); err != nil {
		return err
	}
	return become(self, l)
}

// become executes the program behind fd as the init, which inherits the link.
func become(fd int, l link) error {
	raw, err := l.f.SyscallConn()
	if err != nil {
		return err
	}
	err = raw.Control(func(at uintptr) { unix.FcntlInt(at, unix.F_SETFD, 0) })
	if err != nil {
		return err
	}
	argv, err := syscall.SlicePtrFromStrings([]string{"init", initCommand})
	if err != nil {
		return err
	}
	envv, err := syscall.SlicePtrFromStrings([]string{"GOMAXPROCS=1", "GOGC=20"})
	if err != nil {
		return err
	}
	empty, err := syscall.BytePtrFromString("")
	if err != nil {
		return err
	}
	_, _, errno := unix.Syscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(empty)),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envv[0])), unix.AT_EMPTY_PATH, 0)
	runtime.KeepAlive(argv)
	runtime.KeepAlive(envv)
	return fmt.Errorf("execute init: %w", errno)
}

// enterRoot mounts what belongs to the new namespaces and leaves the root that
// the shim shares with this process.
func enterRoot(b boot) error {
	// Both are refused once no unobstructed one is mounted any more.
	const plain = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	proc, err := newMount("proc", plain)
	if err != nil {
		return err
	}
	sys, err := newMount("sysfs", plain|unix.MOUNT_ATTR_RDONLY)
	if err != nil {
		return err
	}
	if err := enterRootfs(); err != nil {
		return err
	}
	root, err := openTree("/")
	if err != nil {
		return err
	}
	defer root.close()
	if err := mountSys(root, sys, dmi(b.ID)); err != nil {
		return err
	}
	return mountProc(root, proc)
}

// enterRootfs makes /rootfs the root. What the shim mounted is locked
// together; only a copy of all of it can be the root of this namespace.
func enterRootfs() error {
	fd, err := unix.OpenTree(unix.AT_FDCWD, "/rootfs", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return fmt.Errorf("copy root: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, "/rootfs", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount root: %w", err)
	}
	if err := unix.Chdir("/rootfs"); err != nil {
		return fmt.Errorf("enter root: %w", err)
	}
	return pivot()
}

// keptCapabilities bound what anything in an instance can have, over its own
// namespaces: the default of container runtimes without MKNOD, which does
// nothing there, and with two more. NET_ADMIN is for its own interfaces,
// SYS_ADMIN for its hostname; what else that one would allow is refused by the
// system call filter.
var keptCapabilities = []uintptr{
	unix.CAP_AUDIT_WRITE, unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID,
	unix.CAP_KILL, unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE, unix.CAP_NET_RAW, unix.CAP_SETFCAP,
	unix.CAP_SETGID, unix.CAP_SETPCAP, unix.CAP_SETUID, unix.CAP_SYS_ADMIN, unix.CAP_SYS_CHROOT,
}

// limitCapabilities drops all others from the bounding set; the next exec
// takes them away.
func limitCapabilities() error {
	kept := map[uintptr]bool{}
	for _, c := range keptCapabilities {
		kept[c] = true
	}
	for c := uintptr(0); ; c++ {
		if kept[c] {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if err == unix.EINVAL && c > unix.CAP_AUDIT_READ {
			return nil // past the kernel's last
		}
		if err != nil {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
}

// newFile makes a file with content in a file system that is not attached yet.
func newFile(dir *os.File, name, content string, mode uint32) error {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, mode)
	if err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if _, err := f.WriteString(content); err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	return nil
}
