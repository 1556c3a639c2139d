package container

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The new mount calls work on descriptors: what is mounted is made first and
// attached last, at a place that was looked up without following links, since
// a guest has had its hands on the tree.

// tree is a directory taken as the root of all names below it.
type tree struct{ f *os.File }

func openTree(dir string) (tree, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return tree{}, fmt.Errorf("open %s: %w", dir, err)
	}
	return tree{os.NewFile(uintptr(fd), dir)}, nil
}

func (t tree) close() { t.f.Close() }

// open returns an O_PATH descriptor of name, which may hold no link at all.
func (t tree) open(name string) (*os.File, error) {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS,
	}
	fd, err := unix.Openat2(int(t.f.Fd()), name, &how)
	if err != nil {
		return nil, fmt.Errorf("open %s in the tree: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// attach mounts m at name and closes m.
func (t tree) attach(m *os.File, name string) error {
	defer m.Close()
	at, err := t.open(name)
	if err != nil {
		return err
	}
	defer at.Close()
	err = unix.MoveMount(int(m.Fd()), "", int(at.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("mount at %s: %w", name, err)
	}
	return nil
}

// clone returns a mount of what is at name, without what is mounted below it.
func (t tree) clone(name string) (*os.File, error) {
	from, err := t.open(name)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	fd, err := unix.OpenTree(int(from.Fd()), "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return nil, fmt.Errorf("bind %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// newMount makes a file system that is not attached yet. Options are
// "key=value" or flags.
func newMount(fstype string, attrs int, options ...string) (*os.File, error) {
	fd, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", fstype, err)
	}
	defer unix.Close(fd)
	if err := configure(fd, fstype, options); err != nil {
		return nil, err
	}
	m, err := unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, attrs)
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", fstype, err)
	}
	return os.NewFile(uintptr(m), fstype), nil
}

func configure(fd int, fstype string, options []string) error {
	if err := unix.FsconfigSetString(fd, "source", fstype); err != nil {
		return fmt.Errorf("make %s: %w", fstype, err)
	}
	for _, o := range options {
		key, value, has := strings.Cut(o, "=")
		var err error
		if has {
			err = unix.FsconfigSetString(fd, key, value)
		} else {
			err = unix.FsconfigSetFlag(fd, key)
		}
		if err != nil {
			return fmt.Errorf("make %s with %s: %w%s", fstype, o, err, kernelWords(fd))
		}
	}
	if err := unix.FsconfigCreate(fd); err != nil {
		return fmt.Errorf("make %s: %w%s", fstype, err, kernelWords(fd))
	}
	return nil
}

// kernelWords returns what the kernel says of a failure, if anything.
func kernelWords(fd int) string {
	text := make([]byte, 512)
	n, err := unix.Read(fd, text)
	if err != nil || n <= 0 {
		return ""
	}
	return " (" + strings.TrimSpace(string(text[:n])) + ")"
}

// setAttrs sets MOUNT_ATTR_* bits on a mount.
func setAttrs(m *os.File, attrs uint64) error {
	err := unix.MountSetattr(int(m.Fd()), "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: attrs})
	if err != nil {
		return fmt.Errorf("restrict mount %s: %w", m.Name(), err)
	}
	return nil
}

// mkdirs makes the directory name and those above it where they are missing,
// owned by owner.
func (t tree) mkdirs(name string, mode uint32, owner int) error {
	at := ""
	for part := range strings.SplitSeq(name, "/") {
		above := at
		at = path.Join(at, part)
		if f, err := t.open(at); err == nil {
			f.Close()
			continue
		} else if !errors.Is(err, unix.ENOENT) {
			return err
		}
		if err := t.mkdirIn(above, part, mode, owner); err != nil {
			return fmt.Errorf("make directory %s: %w", at, err)
		}
	}
	return nil
}

func (t tree) mkdirIn(above, name string, mode uint32, owner int) error {
	parent, err := t.open("./" + above)
	if err != nil {
		return err
	}
	defer parent.Close()
	fd := int(parent.Fd())
	if err := unix.Mkdirat(fd, name, mode); err != nil {
		return err
	}
	return unix.Fchownat(fd, name, owner, owner, unix.AT_SYMLINK_NOFOLLOW)
}

// idOption returns "key=n".
func idOption(key string, n uint32) string { return key + "=" + strconv.FormatUint(uint64(n), 10) }
