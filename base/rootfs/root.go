// Package rootfs is a directory taken as a system's root: atomic writes,
// owner, mode, links resolved inside it.
//
// Names are absolute slash paths inside the root ("/etc/hostname"); a "/" or
// "/." at the end says nothing. Every
// component is opened relative to its parent's descriptor and every link,
// absolute ones too, is read as text and followed inside the root, so that
// neither ".." nor a hostile link leaves it; this is what chroot would see.
// [os.Root] refuses absolute links, which real images are full of.
package rootfs

import (
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Root is one opened root directory. It is safe for concurrent use; two
// writers of one name leave one of the two contents, whole.
type Root struct {
	dir string
	fd  int
}

// Open takes dir, which must exist, as a root. The caller closes it.
func Open(dir string) (*Root, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open(abs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open root", Path: dir, Err: err}
	}
	return &Root{dir: abs, fd: fd}, nil
}

// Close releases the directory. The Root must not be used afterwards.
func (r *Root) Close() error { return os.NewSyscallError("close", unix.Close(r.fd)) }

// Dir is the root's absolute path on the host; "/" for the running system.
func (r *Root) Dir() string { return r.dir }

// Path is the host path of name with all links resolved inside the root, for
// handing to another program. Components that do not exist are kept as they
// are. It describes the moment of the call only: whoever can change the tree
// can make it stale, so this package's own methods never go through it.
func (r *Root) Path(name string) (string, error) {
	at, err := r.resolve("resolve", name, keepMissing, follow)
	if err != nil {
		return "", err
	}
	defer at.close()
	return filepath.Join(append([]string{r.dir}, at.names()...)...), nil
}
