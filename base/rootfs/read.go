package rootfs

import (
	"errors"
	"io"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"
)

// MaxRead is the most that [Root.ReadFile] returns, in bytes.
const MaxRead = 64 << 20

var errTooLarge = errors.New("file too large")

// ReadFile returns the content of name, which must be a regular file of at
// most [MaxRead] bytes.
func (r *Root) ReadFile(name string) ([]byte, error) {
	at, err := r.resolve("read", name, failMissing, follow)
	if err != nil {
		return nil, err
	}
	defer at.close()
	data, err := at.read()
	return data, pathError("read", name, err)
}

func (p *place) read() ([]byte, error) {
	if _, err := p.lstat(); err != nil {
		return nil, err
	}
	if err := p.mustBeFile(); err != nil {
		return nil, err
	}
	f, err := p.open(p.base, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxRead+1))
	if err == nil && len(data) > MaxRead {
		return nil, errTooLarge
	}
	return data, err
}

// Stat describes what name leads to.
func (r *Root) Stat(name string) (fs.FileInfo, error) { return r.stat("stat", name, follow) }

// Lstat describes name itself, a link too.
func (r *Root) Lstat(name string) (fs.FileInfo, error) { return r.stat("lstat", name, nofollow) }

func (r *Root) stat(op, name string, l last) (fs.FileInfo, error) {
	at, err := r.resolve(op, name, failMissing, l)
	if err != nil {
		return nil, err
	}
	defer at.close()
	fi, err := at.lstat()
	return fi, pathError(op, name, err)
}

// ReadDir lists the directory name, sorted. The entries are described as they
// were at the call.
func (r *Root) ReadDir(name string) ([]fs.DirEntry, error) {
	at, err := r.resolve("readdir", name, failMissing, follow)
	if err != nil {
		return nil, err
	}
	defer at.close()
	entries, err := at.entries()
	return entries, pathError("readdir", name, err)
}

func (p *place) entries() ([]fs.DirEntry, error) {
	f, err := p.open(p.base, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var out []fs.DirEntry
	for _, name := range names {
		entry := place{dirs: []dir{{"", int(f.Fd())}}, base: name}
		fi, err := entry.lstat()
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, fs.FileInfoToDirEntry(fi))
	}
	return out, nil
}

// Readlink returns the text of the link name, as it is.
func (r *Root) Readlink(name string) (string, error) {
	at, err := r.resolve("readlink", name, failMissing, nofollow)
	if err != nil {
		return "", err
	}
	defer at.close()
	target, err := readlinkat(at.fd(), at.base)
	return target, pathError("readlink", name, err)
}
