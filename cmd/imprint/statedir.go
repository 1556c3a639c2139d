package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// What lies in the state directory, besides secrets and the control socket.
const (
	lockFile     = "lock"      // held by imprint up; contains its process id
	storeDir     = "store"     // etcd's
	blobDir      = "blobs"     // user data, injected files, images
	instancesDir = "instances" // one folder an instance
	networkDir   = "network"   // what the network agents made
	runDir       = "run"       // sockets
	cloudsFile   = "clouds.yaml"
	leftFile     = "left" // in runDir: what the last imprint up could not take down
)

// stateDir is a state directory that this process alone holds.
type stateDir struct {
	path string
	lock *os.File
	made bool // by openStateDir
}

// openStateDir makes the directory if it is missing and locks it. It refuses
// one that others could write to, and one that another process holds.
func openStateDir(path string) (*stateDir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	s := &stateDir{path: path}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return nil, fmt.Errorf("make state directory: %w", err)
		}
		s.made = true
	}
	if err := private(path); err != nil {
		return nil, err
	}
	if err := s.take(); err != nil {
		return nil, err
	}
	return s, nil
}

// private makes sure that path is a directory of root's, closed to others.
func private(path string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return fmt.Errorf("state directory %s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return fmt.Errorf("state directory %s is not a directory", path)
	}
	if st.Uid != 0 {
		return fmt.Errorf("state directory %s belongs to user %d, not to root", path, st.Uid)
	}
	if st.Mode&0o077 == 0 {
		return nil
	}
	if entries, err := os.ReadDir(path); err != nil || len(entries) > 0 {
		return fmt.Errorf("state directory %s is open to others (mode %04o) and not empty: chmod 0700 it if it is yours", path, st.Mode&0o7777)
	}
	return os.Chmod(path, 0o700)
}

// take locks the directory.
func (s *stateDir) take() error {
	f, err := os.OpenFile(s.file(lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("lock state directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		holder, _ := os.ReadFile(s.file(lockFile))
		if errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("state directory %s is held by process %s", s.path, strings.TrimSpace(string(holder)))
		}
		return fmt.Errorf("lock state directory %s: %w", s.path, err)
	}
	s.lock = f
	if err := errors.Join(f.Truncate(0), write(f, fmt.Sprintf("%d\n", os.Getpid()))); err != nil {
		return fmt.Errorf("write lock of state directory %s: %w", s.path, err)
	}
	return nil
}

func write(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// file returns the path of something in the directory.
func (s *stateDir) file(name ...string) string {
	return filepath.Join(append([]string{s.path}, name...)...)
}

// undo gives up a directory that nothing was done in: it is removed again if
// it was made for this start.
func (s *stateDir) undo() {
	if s.made {
		os.Remove(s.file(lockFile))
		os.Remove(s.path)
	}
	s.lock.Close()
}
