// Package blob keeps bytes of any size below a directory, each under the
// SHA-256 of its content: user data, injected files, images.
//
// A blob with the digest abcd… is the file ab/abcd…, mode 0600. It is written
// under another name and renamed when it is complete and on disk, so a name
// that exists always has all of its bytes.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"imprint/host/cloud"
)

// tmpDir has the files that are being written, below the store's directory.
const tmpDir = "tmp"

// Store is a directory of blobs. It is safe for concurrent use. Several
// processes may put and read; only one of them may remove and sweep.
type Store struct {
	dir string
	// remove keeps a removal away from a Put that has just found the same blob.
	remove sync.Mutex
}

// Open returns the store in dir, which is made with mode 0700 when it does not
// exist, and removes what a process that was killed left half-written.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(filepath.Join(dir, tmpDir), 0o700); err != nil {
		return nil, fmt.Errorf("open blobs: %w", err)
	}
	s := &Store{dir: dir}
	if err := s.clearTmp(); err != nil {
		return nil, fmt.Errorf("open blobs in %s: %w", dir, err)
	}
	return s, nil
}

// lockTmp takes the lock of the directory of unfinished files: shared by
// writers, exclusive (without waiting) by who clears it. flock(2)
func (s *Store) lockTmp(how int) (*os.File, error) {
	d, err := os.Open(filepath.Join(s.dir, tmpDir))
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(d.Fd()), how); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// clearTmp removes unfinished files, unless someone is writing.
func (s *Store) clearTmp() error {
	d, err := s.lockTmp(unix.LOCK_EX | unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	for _, name := range names {
		err = errors.Join(err, os.Remove(filepath.Join(s.dir, tmpDir, name)))
	}
	return err
}

func (s *Store) path(d cloud.Digest) (string, error) {
	if !d.Valid() {
		return "", cloud.Errorf(cloud.Invalid, "%q is not a digest", string(d))
	}
	return filepath.Join(s.dir, string(d[:2]), string(d)), nil
}

// Info is what [Store.List] tells of a blob.
type Info struct {
	Digest cloud.Digest
	Size   int64     // bytes
	Time   time.Time // when it was last put
}

// List returns all blobs in the order of their digests.
func (s *Store) List(ctx context.Context) ([]Info, error) {
	var all []Info
	dirs, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list blobs: %w", err)
	}
	for _, d := range dirs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if d.Name() == tmpDir || !d.IsDir() {
			continue
		}
		infos, err := s.listDir(d.Name())
		if err != nil {
			return nil, fmt.Errorf("list blobs: %w", err)
		}
		all = append(all, infos...)
	}
	return all, nil
}

func (s *Store) listDir(name string) ([]Info, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, name))
	if err != nil {
		return nil, err
	}
	var infos []Info
	for _, e := range entries {
		d := cloud.Digest(e.Name())
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || !d.Valid() {
			continue
		}
		if err != nil {
			return nil, err
		}
		infos = append(infos, Info{d, info.Size(), info.ModTime()})
	}
	return infos, nil
}

// Remove removes a blob. One that does not exist is no error. Who calls it
// knows that no record names the blob and that no request is about to.
func (s *Store) Remove(d cloud.Digest) error {
	path, err := s.path(d)
	if err != nil {
		return err
	}
	s.remove.Lock()
	defer s.remove.Unlock()
	return removeFile(d, path)
}

// Sweep removes the blobs that were last put before the given time and that
// keep does not want, and returns their number. The time lies far enough back
// that a request which had put a blob then has committed its record by now.
func (s *Store) Sweep(ctx context.Context, before time.Time, keep func(cloud.Digest) bool) (int, error) {
	all, err := s.List(ctx)
	if err != nil {
		return 0, err
	}
	removed := 0
	for _, info := range all {
		if keep(info.Digest) || !info.Time.Before(before) {
			continue
		}
		ok, err := s.removeOld(info.Digest, before)
		if err != nil {
			return removed, err
		}
		if ok {
			removed++
		}
	}
	return removed, ctx.Err()
}

// removeOld looks at the time once more: a Put may have found the blob since.
func (s *Store) removeOld(d cloud.Digest, before time.Time) (bool, error) {
	path, err := s.path(d)
	if err != nil {
		return false, err
	}
	s.remove.Lock()
	defer s.remove.Unlock()
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.ModTime().Before(before) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("sweep blobs: %w", err)
	}
	return true, removeFile(d, path)
}

func removeFile(d cloud.Digest, path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove blob %s: %w", d, err)
	}
	return nil
}
