package container

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// devices are all that an instance gets. Linux: Documentation/admin-guide/devices.txt
var devices = []struct {
	name         string
	major, minor uint32
}{
	{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
}

var devLinks = [][2]string{
	{"ptmx", "pts/ptmx"}, {"fd", "/proc/self/fd"},
	{"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"},
}

// ttyGroup is Debian's group of terminals, as devpts is mounted there.
const ttyGroup = 5

// mountDev mounts /dev. The files in it are the instance's own to lose: it may
// remove or chmod them, and can make none.
func (s *shim) mountDev(rootfs tree) (pty, error) {
	if err := s.tmpfs(rootfs, "dev", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, "mode=0755", "size=1m"); err != nil {
		return pty{}, err
	}
	dev, err := rootfs.open("dev")
	if err != nil {
		return pty{}, err
	}
	defer dev.Close()
	if err := s.fillDev(int(dev.Fd())); err != nil {
		return pty{}, fmt.Errorf("fill /dev: %w", err)
	}
	if err := s.attachDrive(tree{dev}); err != nil {
		return pty{}, err
	}
	if err := s.tmpfs(rootfs, "dev/shm", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV, "mode=1777", s.size(2)); err != nil {
		return pty{}, err
	}
	pts, err := newMount("devpts", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC,
		"newinstance", "mode=0620", "ptmxmode=0666", "max=128", idOption("gid", s.spec.UIDs+ttyGroup))
	if err != nil {
		return pty{}, err
	}
	if err := rootfs.attach(pts, "dev/pts"); err != nil {
		return pty{}, err
	}
	return s.openConsole(rootfs)
}

func (s *shim) fillDev(dev int) error {
	owner := int(s.spec.UIDs)
	umask := unix.Umask(0)
	defer unix.Umask(umask)
	for _, d := range devices {
		if err := unix.Mknodat(dev, d.name, unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor))); err != nil {
			return err
		}
		if err := unix.Fchownat(dev, d.name, owner, owner, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
	}
	for _, l := range devLinks {
		if err := unix.Symlinkat(l[1], dev, l[0]); err != nil {
			return err
		}
	}
	for _, d := range []string{"pts", "shm"} {
		if err := unix.Mkdirat(dev, d, 0o755); err != nil {
			return err
		}
	}
	return unix.Mknodat(dev, "console", unix.S_IFREG|0o600, 0)
}

// openConsole opens the first terminal of the instance's own devpts and puts
// it at /dev/console.
func (s *shim) openConsole(rootfs tree) (pty, error) {
	const pts = "/rootfs/dev/pts/"
	master, err := os.OpenFile(pts+"ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return pty{}, fmt.Errorf("open console: %w", err)
	}
	number, err := unlockTerminal(master)
	if err != nil {
		return pty{}, fmt.Errorf("unlock console: %w", err)
	}
	name := strconv.Itoa(number)
	slave, err := os.OpenFile(pts+name, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return pty{}, fmt.Errorf("open console: %w", err)
	}
	if err := setConsole(slave, int(s.spec.UIDs)); err != nil {
		return pty{}, fmt.Errorf("set up console: %w", err)
	}
	bind, err := rootfs.clone("dev/pts/" + name)
	if err != nil {
		return pty{}, err
	}
	return pty{master, slave}, rootfs.attach(bind, "dev/console")
}

func unlockTerminal(master *os.File) (int, error) {
	raw, err := master.SyscallConn()
	if err != nil {
		return 0, err
	}
	var number int
	var failed error
	err = raw.Control(func(fd uintptr) {
		if failed = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); failed == nil {
			number, failed = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	return number, errors.Join(err, failed)
}

// setConsole gives the terminal to the instance's root and has it pass lines
// on as they are written, without echo and carriage returns.
func setConsole(slave *os.File, owner int) error {
	fd := int(slave.Fd())
	if err := unix.Fchown(fd, owner, owner+ttyGroup); err != nil {
		return err
	}
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO
	return unix.IoctlSetTermios(fd, unix.TCSETS, t)
}
