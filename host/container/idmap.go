package container

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// idMap maps the users and groups 0 to idCount of a container to first and
// those after it.
func idMap(first uint32) []syscall.SysProcIDMap {
	return []syscall.SysProcIDMap{{ContainerID: 0, HostID: int(first), Size: idCount}}
}

// newUserNamespace returns a user namespace with that map. It is not the one
// that the container runs in; mounts are mapped by its map alone.
func newUserNamespace(first uint32) (*os.File, error) {
	// A namespace needs a process. It stops in its first instruction and is
	// killed there; being traced is a matter of this thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p, err := os.StartProcess("/proc/self/exe", []string{"userns"}, &os.ProcAttr{
		Sys: &syscall.SysProcAttr{
			Cloneflags:                 unix.CLONE_NEWUSER,
			UidMappings:                idMap(first),
			GidMappings:                idMap(first),
			GidMappingsEnableSetgroups: true,
			Ptrace:                     true,
			Pdeathsig:                  unix.SIGKILL,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make user namespace: %w", err)
	}
	defer p.Wait()
	defer p.Kill()
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", p.Pid))
	if err != nil {
		return nil, fmt.Errorf("make user namespace: %w", err)
	}
	return ns, nil
}

// errNoIDMap tells what is missing when a mount cannot be idmapped.
var errNoIDMap = errors.New("idmapped mounts are not possible there (they need Linux 5.19 and a file system such as ext4, xfs or btrfs)")

// idmapped returns a read-only mount of the file or directory name on which
// the users of the file system appear as those of the namespace.
func idmapped(name string, userns *os.File) (*os.File, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("bind %s: %w", name, err)
	}
	m := os.NewFile(uintptr(fd), name)
	err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{
		Attr_set:  unix.MOUNT_ATTR_IDMAP | unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NODEV,
		Userns_fd: uint64(userns.Fd()),
	})
	switch {
	case err == nil:
		return m, nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		err = errNoIDMap
	}
	m.Close()
	return nil, fmt.Errorf("map users of %s: %w", name, err)
}
