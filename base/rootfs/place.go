package rootfs

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

var errNotRegular = errors.New("not a regular file")

// open opens name in the place's directory; a link there is an error.
func (p *place) open(name string, flags int, perm uint32) (*os.File, error) {
	fd, err := retry(func() (int, error) {
		return unix.Openat(p.fd(), name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, perm)
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// lstat describes the base.
func (p *place) lstat() (fs.FileInfo, error) {
	f, err := p.open(p.base, unix.O_PATH, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}

// mkdirat makes the directory name in the place's directory, with perm exactly.
func (p *place) mkdirat(name string, perm fs.FileMode) error {
	if err := unix.Mkdirat(p.fd(), name, 0o700); err != nil {
		return err
	}
	f, err := p.open(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err == nil {
		defer f.Close()
		err = f.Chmod(perm)
	}
	if err != nil {
		unix.Unlinkat(p.fd(), name, unix.AT_REMOVEDIR)
	}
	return err
}

// tempName is a new name for a file that will be renamed. It does not grow
// with the final name, which may be as long as the file system allows.
func tempName() string { return ".imprint-" + rand.Text() }

// pathError adds operation and name to err, in place of what inner calls
// said of temporary names.
func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	var inner *fs.PathError
	if errors.As(err, &inner) {
		err = inner.Err
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}
