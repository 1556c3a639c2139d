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
	lockFile     = "lock"      // held by the process; contains its id
	storeDir     = "store"     // etcd's
	blobDir      = "blobs"     // user data, injected files, images
	instancesDir = "instances" // one folder an instance
	networkDir   = "network"   // what the network agents made
	runDir       = "run"       // sockets
	cloudsFile   = "clouds.yaml"
)

// Files that each agent has of its own where several share a directory.
func lockName(agent string) string    { return ofAgent(lockFile, agent, "") }
func controlName(agent string) string { return ofAgent("control", agent, ".sock") }
func leftName(agent string) string    { return ofAgent("left", agent, "") } // what could not be taken down

func ofAgent(name, agent, suffix string) string {
	if agent != "" {
		name += "-" + agent
	}
	return name + suffix
}

// stateDir is a state directory that this process holds: alone, or as the only
// agent of its name.
type stateDir struct {
	path  string
	locks []*os.File
	made  bool // by openStateDir
}

// openStateDir makes the directory if it is missing and locks it. It refuses
// one that others could write to, and one that another process holds.
// An agent shares it with agents of other names.
func openStateDir(path, agent string) (*stateDir, error) {
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
	how := unix.LOCK_EX
	if agent != "" {
		how = unix.LOCK_SH
	}
	if err := s.take(lockFile, how); err != nil {
		return nil, err
	}
	if agent == "" {
		return s, nil
	}
	if err := s.take(lockName(agent), unix.LOCK_EX); err != nil {
		return nil, err
	}
	return s, nil
}

// private makes sure that path is a directory of this user's, closed to others.
func private(path string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return fmt.Errorf("state directory %s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return fmt.Errorf("state directory %s is not a directory", path)
	}
	if st.Uid != uint32(os.Geteuid()) {
		return fmt.Errorf("state directory %s belongs to user %d, not to user %d", path, st.Uid, os.Geteuid())
	}
	if st.Mode&0o077 == 0 {
		return nil
	}
	if entries, err := os.ReadDir(path); err != nil || len(entries) > 0 {
		return fmt.Errorf("state directory %s is open to others (mode %04o) and not empty: chmod 0700 it if it is yours", path, st.Mode&0o7777)
	}
	return os.Chmod(path, 0o700)
}

// take locks one of the directory's lock files, with this process's id in it if
// it is the only holder.
func (s *stateDir) take(name string, how int) error {
	f, err := os.OpenFile(s.file(name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("lock state directory: %w", err)
	}
	s.locks = append(s.locks, f)
	err = unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("state directory %s is held by process %s", s.path, s.holders(name))
	}
	if err != nil {
		return fmt.Errorf("lock state directory %s: %w", s.path, err)
	}
	if how != unix.LOCK_EX {
		return nil
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		return fmt.Errorf("write lock of state directory %s: %w", s.path, err)
	}
	return nil
}

// holders are the ids of the processes that hold a lock: for the directory's
// own those of the agents that share it.
func (s *stateDir) holders(name string) string {
	var pids []string
	for _, agent := range agentsOf(s.path, lockName) {
		file := s.file(lockName(agent))
		if name != lockFile && name != lockName(agent) || !isHeld(file) {
			continue
		}
		text, _ := os.ReadFile(file)
		if pid := strings.TrimSpace(string(text)); pid != "" {
			pids = append(pids, pid)
		}
	}
	return strings.Join(pids, " or ")
}

// isHeld reports whether a process holds a lock file.
func isHeld(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// file returns the path of something in the directory.
func (s *stateDir) file(name ...string) string {
	return filepath.Join(append([]string{s.path}, name...)...)
}

// undo gives up a directory that nothing was done in: it is removed again if
// it was made for this start.
func (s *stateDir) undo() {
	if s.made && len(s.locks) == 1 { // an agent's directory may be in another's use by now
		os.Remove(s.locks[0].Name())
		os.Remove(s.path)
	}
	for _, f := range s.locks {
		f.Close()
	}
}

// makeDirs makes directories below the state directory.
func (p *process) makeDirs(names ...string) error {
	for _, name := range names {
		if err := os.MkdirAll(p.dir.file(name), 0o700); err != nil {
			return fmt.Errorf("state directory: %w", err)
		}
	}
	return nil
}
