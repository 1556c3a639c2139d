package container

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Check says what this machine lacks to run containers; the errors are joined,
// each names one thing. It changes nothing.
func (d *Driver) Check() error {
	if os.Geteuid() != 0 {
		return errors.New("containers need root")
	}
	return errors.Join(checkKernel(), checkStatic(), checkOverlay(), checkSeccomp(), d.checkCgroups(), d.checkUsers())
}

// checkKernel: overlays of idmapped mounts came with Linux 5.19.
func checkKernel() error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return fmt.Errorf("read kernel's version: %w", err)
	}
	release := unix.ByteSliceToString(u.Release[:])
	if !atLeast(release, 5, 19) {
		return fmt.Errorf("containers need Linux 5.19 or later, this is %s", release)
	}
	return nil
}

func atLeast(release string, major, minor int) bool {
	var a, b int
	if _, err := fmt.Sscanf(release, "%d.%d", &a, &b); err != nil {
		return false
	}
	return a > major || a == major && b >= minor
}

// checkStatic: an instance's first process is this program, executed where
// there is no dynamic loader.
func checkStatic() error {
	f, err := elf.Open("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("read own program: %w", err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("containers need this program to be linked statically (CGO_ENABLED=0)")
		}
	}
	return nil
}

func checkOverlay() error {
	fd, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fmt.Errorf("this kernel has no overlay file system: %w", err)
	}
	return unix.Close(fd)
}

func checkSeccomp() error {
	if _, err := os.Stat("/proc/sys/kernel/seccomp/actions_avail"); err != nil {
		return errors.New("this kernel has no system call filters (CONFIG_SECCOMP_FILTER)")
	}
	return nil
}

func (d *Driver) checkCgroups() error {
	c, err := openCgroups(d.config.Cgroup)
	if err != nil {
		return err
	}
	c.close()
	return nil
}

// checkUsers tries a user namespace, and idmapped mounts of what instances
// are made of. A mount that is not attached goes with its descriptor.
func (d *Driver) checkUsers() error {
	users, err := newUserNamespace(firstRange * idCount)
	if err != nil {
		return fmt.Errorf("this machine allows no user namespaces: %w", err)
	}
	defer users.Close()
	var missing error
	for _, name := range []string{"/usr", existing(d.config.Dir)} {
		m, err := idmapped(name, users)
		if err != nil {
			missing = errors.Join(missing, err)
			continue
		}
		m.Close()
	}
	return missing
}

// existing returns the directory name or the first above it that exists.
func existing(name string) string {
	for name != "/" && name != "." {
		if _, err := os.Stat(name); err == nil {
			return name
		}
		name = filepath.Dir(name)
	}
	return name
}
