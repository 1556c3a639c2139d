package rootfs

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// WriteFile makes data the content of name, with mode exactly (the umask does
// not matter) and the process's own user and group. Missing parents are made,
// 0755. A link at name is followed inside the root, a dangling one too. The
// content appears whole or not at all: it goes to a temporary file beside,
// which is synced and renamed over name. A name that is a directory, a device,
// a socket or a pipe is refused. What refers to the old file by descriptor or
// hard link keeps the old content.
func (r *Root) WriteFile(name string, data []byte, mode fs.FileMode) error {
	return r.WriteFileAs(name, data, mode, os.Geteuid(), os.Getegid())
}

// WriteFileLazy is [Root.WriteFile] for what may be lost: the content is whole
// or not there for every reader, but nothing waits for the disk, and after a
// loss of power the file may be empty.
func (r *Root) WriteFileLazy(name string, data []byte, mode fs.FileMode) error {
	return r.writeFile(name, data, mode, os.Geteuid(), os.Getegid(), lazy)
}

// WriteFileAs is [Root.WriteFile] with the owner uid and group gid.
func (r *Root) WriteFileAs(name string, data []byte, mode fs.FileMode, uid, gid int) error {
	return r.writeFile(name, data, mode, uid, gid, durable)
}

// Whether a write waits for the disk.
const (
	lazy    = false
	durable = true
)

func (r *Root) writeFile(name string, data []byte, mode fs.FileMode, uid, gid int, sync bool) error {
	at, err := r.resolve("write", name, makeMissing, follow)
	if err != nil {
		return err
	}
	defer at.close()
	err = at.mustBeFile()
	if err == nil {
		err = at.replace(func(tmp string) error {
			return at.create(tmp, data, mode, uid, gid, sync)
		})
	}
	return pathError("write", name, err)
}

// create makes the new file tmp, complete and, if durable, on disk.
func (p *place) create(tmp string, data []byte, mode fs.FileMode, uid, gid int, sync bool) error {
	f, err := p.open(tmp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	// The owner first: a change of owner clears setuid.
	if err := f.Chown(uid, gid); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil || !sync {
		return err
	}
	return f.Sync()
}

// replace lets build make a temporary name and moves it to the base.
func (p *place) replace(build func(tmp string) error) error {
	tmp := tempName()
	err := build(tmp)
	if err == nil {
		err = unix.Renameat(p.fd(), tmp, p.fd(), p.base)
	}
	if err != nil {
		unix.Unlinkat(p.fd(), tmp, 0)
	}
	return err
}

// mustBeFile refuses a base that is there and not a regular file.
func (p *place) mustBeFile() error {
	fi, err := p.lstat()
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return err
	case fi.IsDir():
		return unix.EISDIR
	case !fi.Mode().IsRegular():
		return errNotRegular
	}
	return nil
}

// Append adds data to the end of name in one write. A file that did not exist
// gets mode exactly; an existing one keeps its own. Missing parents are made.
// After an error the file has its old length, or is not there.
func (r *Root) Append(name string, data []byte, mode fs.FileMode) error {
	at, err := r.resolve("append", name, makeMissing, follow)
	if err != nil {
		return err
	}
	defer at.close()
	err = at.mustBeFile()
	if err == nil {
		err = at.append(data, mode)
	}
	return pathError("append", name, err)
}

func (p *place) append(data []byte, mode fs.FileMode) error {
	f, err := p.open(p.base, unix.O_WRONLY|unix.O_APPEND|unix.O_NONBLOCK, 0)
	isNew := errors.Is(err, unix.ENOENT)
	if isNew {
		f, err = p.open(p.base, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_EXCL, 0o600)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() {
		return errNotRegular
	}
	if isNew {
		err = f.Chmod(mode)
	}
	if err == nil {
		_, err = f.Write(data)
	}
	switch {
	case err != nil && isNew:
		unix.Unlinkat(p.fd(), p.base, 0)
	case err != nil:
		f.Truncate(fi.Size())
	}
	return err
}

// Symlink makes name a link with the text target, replacing atomically what
// was there, unless that is a directory. Missing parents are made, 0755.
func (r *Root) Symlink(target, name string) error {
	at, err := r.resolve("symlink", name, makeMissing, nofollow)
	if err != nil {
		return err
	}
	defer at.close()
	return pathError("symlink", name, at.replace(func(tmp string) error {
		return unix.Symlinkat(target, at.fd(), tmp)
	}))
}
