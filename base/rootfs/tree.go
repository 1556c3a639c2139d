package rootfs

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// MkdirAll makes the directory name with mode exactly, and missing parents
// with 0755. Directories that exist, or links to one, are left as they are.
func (r *Root) MkdirAll(name string, mode fs.FileMode) error {
	at, err := r.resolve("mkdir", name, makeMissing, follow)
	if err != nil {
		return err
	}
	defer at.close()
	err = at.mkdirat(at.base, mode)
	if errors.Is(err, unix.EEXIST) {
		var fi fs.FileInfo
		if fi, err = at.lstat(); err == nil && !fi.IsDir() {
			err = unix.ENOTDIR
		}
	}
	return pathError("mkdir", name, err)
}

// Remove deletes the file, link or empty directory name; a link itself, not
// what it leads to.
func (r *Root) Remove(name string) error {
	at, err := r.resolve("remove", name, failMissing, nofollow)
	if err != nil {
		return err
	}
	defer at.close()
	return pathError("remove", name, at.remove())
}

func (p *place) remove() error {
	if p.base == "." {
		return fs.ErrInvalid
	}
	err := unix.Unlinkat(p.fd(), p.base, 0)
	if errors.Is(err, unix.EISDIR) {
		return unix.Unlinkat(p.fd(), p.base, unix.AT_REMOVEDIR)
	}
	return err
}

// RemoveAll deletes name and all below it, without following links. A name
// that does not exist is no error; the root itself, or a name that ends in
// "..", is refused.
func (r *Root) RemoveAll(name string) error {
	at, err := r.resolve("remove", name, failMissing, nofollow)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer at.close()
	return pathError("remove", name, at.removeAll())
}

func (p *place) removeAll() error {
	err := p.remove()
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) {
		return err
	}
	f, err := p.open(p.base, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		below := place{dirs: []dir{{"", int(f.Fd())}}, base: name}
		if err := below.removeAll(); err != nil {
			return err
		}
	}
	return p.remove()
}

// Chown sets owner and group of what name leads to; -1 leaves one as it is.
func (r *Root) Chown(name string, uid, gid int) error {
	return r.change("chown", name, func(p *place) error {
		return unix.Fchownat(p.fd(), p.base, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
	})
}

// Chmod sets the permissions (setuid, setgid, sticky too) of the file or
// directory that name leads to.
func (r *Root) Chmod(name string, mode fs.FileMode) error {
	return r.change("chmod", name, func(p *place) error {
		fi, err := p.lstat()
		if err != nil {
			return err
		}
		if !fi.IsDir() && !fi.Mode().IsRegular() {
			return errNotRegular // opening a device may do something
		}
		f, err := p.open(p.base, unix.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Chmod(mode)
	})
}

func (r *Root) change(op, name string, do func(*place) error) error {
	at, err := r.resolve(op, name, failMissing, follow)
	if err != nil {
		return err
	}
	defer at.close()
	return pathError(op, name, do(at))
}
