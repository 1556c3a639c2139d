package enroll

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// maxFile bounds the files that are read, in bytes.
const maxFile = 8 << 20

// lockDir makes dir (mode 0700) when it is missing, and waits until no other
// process or goroutine holds its lock; closing releases it. flock(2)
func lockDir(dir string) (io.Closer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(d.Fd()), unix.LOCK_EX)
		if err == nil {
			return d, nil
		}
		if !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), d.Close())
		}
	}
}

// writeFile makes data the content of path, whole or not at all, and returns
// when it is on disk. The caller holds the lock of the directory, so that what
// has the temporary name was left by a process that was killed.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readFile reads a file whole; a secret one that others may read is refused.
func readFile(path string, secret bool) ([]byte, fs.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if secret && info.Mode().Perm()&0o077 != 0 {
		return nil, nil, fmt.Errorf("%s has a key and mode %#o; it must be for its owner alone", path, info.Mode().Perm())
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	return data, info, err
}

// cached has what a file says, and reads it again when the file has changed.
// Safe for concurrent use.
type cached[T any] struct {
	path   string
	secret bool
	parse  func([]byte) (T, error)

	mu      sync.Mutex
	value   T
	info    fs.FileInfo // of the file that value is from; nil: none yet
	settled bool        // the file's time alone would show the next change
}

// get returns the present value. With an error it returns the last good one.
func (c *cached[T]) get() (T, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if info, err := os.Stat(c.path); err == nil && c.settled && same(info, c.info) {
		return c.value, nil
	}
	data, info, err := readFile(c.path, c.secret)
	if err != nil {
		return c.value, err
	}
	value, err := c.parse(data)
	if err != nil {
		return c.value, fmt.Errorf("read %s: %w", c.path, err)
	}
	c.value, c.info = value, info
	c.settled = time.Since(info.ModTime()) > time.Second
	return value, nil
}

func same(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
