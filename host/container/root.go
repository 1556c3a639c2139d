package container

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// The shim's own root while it serves: a small file system with these names and
// nothing else of the machine, so that it pins no mount and no namespace.
//
//	rootfs     the instance's root
//	instance   the instance's folder
//	proc, sys  for the init's own to be allowed
//	lower      what the root is laid over, while it is put together
const stageDir = "mnt"

type pty struct{ master, slave *os.File }

// buildRoot makes the instance's root file system and enters a root that holds
// little more. All is in this process's mount namespace and ends with it.
func (s *shim) buildRoot() (pty, error) {
	if s.spec.Usr != "" {
		if err := writeSkeleton(s.spec.Tree, s.spec.Usr, s.spec.Guest != ""); err != nil {
			return pty{}, err
		}
	}
	// Unmounts of the machine reach this namespace, mounts of ours not the machine.
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return pty{}, fmt.Errorf("keep mounts to itself: %w", err)
	}
	if err := s.enterStage(); err != nil {
		return pty{}, err
	}
	if err := s.mountRoot(); err != nil {
		return pty{}, err
	}
	if err := s.leaveMachine(); err != nil {
		return pty{}, err
	}
	return s.mountFresh()
}

// enterStage makes the new root and its directories the working directory; the
// machine's root is still /.
func (s *shim) enterStage() error {
	s.ifup = usesIfup(s.spec.Tree)
	dir := s.spec.Dir + "/" + stageDir
	for _, d := range []string{dir, s.spec.Dir + "/disk", s.spec.Dir + "/disk/upper", s.spec.Dir + "/disk/work"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return fmt.Errorf("make instance folder: %w", err)
		}
	}
	// The upper layer's directory becomes the root directory of the instance.
	if err := os.Lchown(s.spec.Dir+"/disk/upper", int(s.spec.UIDs), int(s.spec.UIDs)); err != nil {
		return fmt.Errorf("make instance folder: %w", err)
	}
	folder, err := cloneOf(s.spec.Dir)
	if err != nil {
		return err
	}
	stage, err := newMount("tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV, "mode=0755", "size=1m")
	if err != nil {
		return err
	}
	defer stage.Close()
	if err := unix.MoveMount(int(stage.Fd()), "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount stage: %w", err)
	}
	if err := unix.Chdir(dir); err != nil {
		return fmt.Errorf("enter %s: %w", dir, err)
	}
	for _, d := range []string{"rootfs", "instance", "proc", "sys", "lower", "lower/root", "lower/usr", "lower/over"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return fmt.Errorf("make stage: %w", err)
		}
	}
	here, err := openTree(".")
	if err != nil {
		return err
	}
	defer here.close()
	return here.attach(folder, "instance")
}

// cloneOf returns a mount of the directory dir of the machine.
func cloneOf(dir string) (*os.File, error) {
	t, err := openTree(dir)
	if err != nil {
		return nil, err
	}
	defer t.close()
	return t.clone(".")
}

// mountRoot lays the instance's disk over its tree, at rootfs.
func (s *shim) mountRoot() error {
	users, err := newUserNamespace(s.spec.UIDs)
	if err != nil {
		return err
	}
	defer users.Close()
	here, err := openTree(".")
	if err != nil {
		return err
	}
	defer here.close()
	if err := s.bindDrive(users); err != nil {
		return err
	}
	if err := s.layer(here, users, s.spec.Tree, "lower/root"); err != nil {
		return err
	}
	err = overlay(here, "rootfs", unix.MOUNT_ATTR_NODEV,
		"lowerdir=lower/root", "upperdir=instance/disk/upper", "workdir=instance/disk/work",
		"index=off", "metacopy=off", "redirect_dir=off", "xino=off")
	if err != nil {
		return err
	}
	if s.spec.Usr == "" {
		return nil
	}
	return s.mountUsr(here, users)
}

// mountUsr mounts the machine's /usr, and the guest program in it.
func (s *shim) mountUsr(here tree, users *os.File) error {
	if err := s.layer(here, users, "/usr", "lower/usr"); err != nil {
		return err
	}
	if err := s.layer(here, users, s.spec.Usr, "lower/over"); err != nil {
		return err
	}
	err := overlay(here, "rootfs/usr", unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_RDONLY,
		"lowerdir=lower/over:lower/usr", "index=off", "metacopy=off", "redirect_dir=off", "xino=off")
	if err != nil || s.spec.Guest == "" {
		return err
	}
	guest, err := idmapped(s.spec.Guest, users)
	if err != nil {
		return err
	}
	return here.attach(guest, "rootfs/usr/bin/imprint-guest")
}

// layer mounts a directory for an overlay to be made of; the overlay keeps it.
func (s *shim) layer(here tree, users *os.File, dir, at string) error {
	m, err := idmapped(dir, users)
	if err != nil {
		return err
	}
	s.layers = append(s.layers, at)
	return here.attach(m, at)
}

// overlay mounts an overlay; the layers' names are relative to the working directory.
func overlay(here tree, at string, attrs int, options ...string) error {
	m, err := newMount("overlay", attrs, options...)
	if err != nil {
		return fmt.Errorf("lay out the root file system: %w (the instances' folder must be on a file system such as ext4 or xfs)", err)
	}
	return here.attach(m, at)
}

// leaveMachine makes the stage the root of this process and lets go of all
// else that the machine has mounted.
func (s *shim) leaveMachine() error {
	here, err := openTree(".")
	if err != nil {
		return err
	}
	defer here.close()
	for at, fstype := range map[string]string{"proc": "proc", "sys": "sysfs"} {
		m, err := newMount(fstype, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
		if err != nil {
			return err
		}
		if err := here.attach(m, at); err != nil {
			return err
		}
	}
	for _, d := range s.layers {
		if err := unix.Unmount(d, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("detach %s: %w", d, err)
		}
	}
	s.folder = "/instance"
	return pivot()
}

// pivot makes the working directory, a mount, the root, and detaches the old one.
func pivot() error {
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("detach the old root: %w", err)
	}
	return unix.Chdir("/")
}

// mountFresh mounts what is new at each boot: /dev with the terminal that is
// returned, /run and /tmp.
func (s *shim) mountFresh() (pty, error) {
	rootfs, err := openTree("/rootfs")
	if err != nil {
		return pty{}, err
	}
	defer rootfs.close()
	owner := int(s.spec.UIDs)
	for _, d := range []string{"dev", "proc", "sys", "run", "tmp"} {
		if err := rootfs.mkdirs(d, 0o755, owner); err != nil {
			return pty{}, err
		}
	}
	const noDevices = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV
	if err := s.tmpfs(rootfs, "run", noDevices, "mode=0755", s.size(5)); err != nil {
		return pty{}, err
	}
	if err := s.tmpfs(rootfs, "tmp", noDevices, "mode=1777", s.size(2)); err != nil {
		return pty{}, err
	}
	return s.mountDev(rootfs)
}

// size is the option for a part of the instance's memory.
func (s *shim) size(part int64) string { return "size=" + strconv.FormatInt(s.spec.RAM/part, 10) }

func (s *shim) tmpfs(at tree, name string, attrs int, options ...string) error {
	options = append(options, idOption("uid", s.spec.UIDs), idOption("gid", s.spec.UIDs))
	m, err := newMount("tmpfs", attrs, options...)
	if err != nil {
		return err
	}
	return at.attach(m, name)
}
