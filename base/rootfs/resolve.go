package rootfs

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is the kernel's own limit of links in one look-up
// (path_resolution(7)).
const maxLinks = 40

// What to do at a directory that is not there.
type missing uint8

const (
	failMissing missing = iota
	makeMissing         // create it, 0755
	keepMissing         // take the rest of the name as text
)

// What to do when the last component is a link.
type last bool

const (
	follow   last = true
	nofollow last = false
)

// place is where a name leads: base inside the directory on top of dirs. base
// is "." when the name is a directory reached by "/" or "..". A place owns its
// descriptors but the first, which is the root's.
type place struct {
	dirs []dir
	base string
	rest []string // below base, when directories are missing and kept
}

type dir struct {
	name string
	fd   int
}

func (p *place) fd() int { return p.dirs[len(p.dirs)-1].fd }

func (p *place) push(name string, fd int) { p.dirs = append(p.dirs, dir{name, fd}) }

// pop goes to the parent; the root is its own.
func (p *place) pop() {
	if n := len(p.dirs); n > 1 {
		unix.Close(p.dirs[n-1].fd)
		p.dirs = p.dirs[:n-1]
	}
}

// toRoot goes back to the root.
func (p *place) toRoot() {
	for len(p.dirs) > 1 {
		p.pop()
	}
}

func (p *place) close() { p.toRoot() }

// names are the components of the place's path below the root.
func (p *place) names() []string {
	var out []string
	for _, d := range p.dirs[1:] {
		out = append(out, d.name)
	}
	if p.base != "." {
		out = append(out, p.base)
	}
	return append(out, p.rest...)
}

// resolve walks name. The place it returns must be closed; its base is not a
// link unless nofollow was asked for, and may not exist.
func (r *Root) resolve(op, name string, m missing, l last) (*place, error) {
	fail := func(err error) (*place, error) {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	if !strings.HasPrefix(name, "/") || strings.ContainsRune(name, 0) {
		return fail(fs.ErrInvalid)
	}
	p := &place{dirs: []dir{{"", r.fd}}, base: "."}
	todo := split(name)
	if m != keepMissing && p.jump(todo, l) {
		return p, nil
	}
	if err := p.walk(todo, m, l); err != nil {
		p.close()
		return fail(err)
	}
	return p, nil
}

// jump goes to the last component's directory in one call, in which the kernel
// resolves links inside the root as walk does (openat2(2), RESOLVE_IN_ROOT). It
// declines, and leaves p as it was, whatever is out of the ordinary: then walk
// finds out what.
func (p *place) jump(todo []string, l last) bool {
	n := len(todo) - 1
	if n < 1 || slices.Contains(todo, "..") {
		return false
	}
	fd, err := unix.Openat2(p.fd(), strings.Join(todo[:n], "/"), &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return false
	}
	if l == follow {
		// A link there may lead up, and the directories on the way are not known.
		if _, err := readlinkat(fd, todo[n]); !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			unix.Close(fd)
			return false
		}
	}
	p.push("", fd)
	p.base = todo[n]
	return true
}

// walk goes down todo, which shrinks by components and grows by link targets.
func (p *place) walk(todo []string, m missing, l last) error {
	for links := 0; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		if name == ".." {
			p.pop()
			continue
		}
		if len(todo) > 0 || l == follow {
			target, err := readlinkat(p.fd(), name)
			if err == nil {
				if links++; links > maxLinks {
					return unix.ELOOP
				}
				if strings.HasPrefix(target, "/") {
					p.toRoot()
				}
				todo = append(split(target), todo...)
				continue
			}
			if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
				return err
			}
		}
		if len(todo) == 0 {
			p.base = name
			return nil
		}
		fd, err := p.openDir(name, m)
		if errors.Is(err, unix.ENOENT) && m == keepMissing {
			p.base, p.rest = name, todo
			if slices.Contains(todo, "..") {
				return err
			}
			return nil
		}
		if err != nil {
			return err
		}
		p.push(name, fd)
	}
	return nil
}

func (p *place) openDir(name string, m missing) (int, error) {
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := retry(func() (int, error) { return unix.Openat(p.fd(), name, flags, 0) })
	if !errors.Is(err, unix.ENOENT) || m != makeMissing {
		return fd, err
	}
	if err := p.mkdirat(name, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, err
	}
	return retry(func() (int, error) { return unix.Openat(p.fd(), name, flags, 0) })
}

func readlinkat(fd int, name string) (string, error) {
	var buf [unix.PathMax]byte
	n, err := unix.Readlinkat(fd, name, buf[:])
	if err != nil {
		return "", err
	}
	if n == 0 || n == len(buf) {
		return "", unix.ENAMETOOLONG
	}
	return string(buf[:n]), nil
}

func split(name string) []string {
	var out []string
	for c := range strings.SplitSeq(name, "/") {
		if c != "" && c != "." {
			out = append(out, c)
		}
	}
	return out
}

// retry repeats a system call that a signal interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
