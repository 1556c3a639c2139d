// Package netns enters network namespaces; nothing else does. Sockets are
// opened inside a namespace and used outside.
//
// Named namespaces are files below /run/netns, as iproute2 makes them, so
// that `ip netns` shows them.
package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// Dir is where named namespaces are. iproute2: include/namespace.h
const Dir = "/run/netns"

// NS is an open network namespace; it lives at least until Close. Safe for
// concurrent use.
type NS struct {
	name string
	f    *os.File
}

// ID tells namespaces of one boot apart; comparable.
type ID struct {
	Dev, Ino uint64
}

// Open opens the named namespace; errors.Is fs.ErrNotExist when there is none.
func Open(name string) (*NS, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	return OpenPath(filepath.Join(Dir, name))
}

// OpenPath opens the namespace that path refers to, such as /proc/PID/ns/net.
func OpenPath(path string) (*NS, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open namespace: %w", err)
	}
	ns, err := FromFile(f)
	if err != nil {
		f.Close()
	}
	return ns, err
}

// FromFile takes over an open namespace file. On an error it stays the
// caller's.
func FromFile(f *os.File) (*NS, error) {
	kind, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_NSTYPE)
	if err != nil || kind != unix.CLONE_NEWNET {
		return nil, fmt.Errorf("open namespace %s: not a network namespace", f.Name())
	}
	return &NS{name: filepath.Base(f.Name()), f: f}, nil
}

// Current opens the namespace of the process.
func Current() (*NS, error) {
	return OpenPath("/proc/self/ns/net")
}

// Name is the last part of the path that ns was opened by.
func (ns *NS) Name() string { return ns.name }

// FD is valid until Close.
func (ns *NS) FD() int { return int(ns.f.Fd()) }

// Close gives the namespace up; sockets opened in it stay.
func (ns *NS) Close() error { return ns.f.Close() }

// ID returns the identity of ns.
func (ns *NS) ID() (ID, error) {
	var st unix.Stat_t
	if err := unix.Fstat(ns.FD(), &st); err != nil {
		return ID{}, fmt.Errorf("stat namespace %s: %w", ns.name, err)
	}
	return ID{Dev: st.Dev, Ino: st.Ino}, nil
}

// Do calls f on a thread inside ns and returns its error. f must not start
// goroutines that depend on the namespace, nor call runtime.UnlockOSThread.
// The thread ends with the call.
func (ns *NS) Do(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(ns.FD(), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter namespace %s: %w", ns.name, err)
		}
		return f()
	})
}

// onThread calls f on a thread that is then destroyed. The main thread cannot
// be, and what it did to itself would be taken for the process's own: it is
// held until another has done the work.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the runtime destroys the thread
		if unix.Gettid() != unix.Getpid() {
			done <- f()
			return
		}
		err := onThread(f)
		runtime.UnlockOSThread()
		done <- err
	}()
	return <-done
}

func checkName(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > unix.NAME_MAX || filepath.Base(name) != name {
		return fmt.Errorf("namespace name %q: %w", name, fs.ErrInvalid)
	}
	return nil
}

// isNamespace tells a mounted namespace from a plain file.
func isNamespace(path string) (bool, error) {
	var st unix.Statfs_t
	err := unix.Statfs(path, &st)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return st.Type == unix.NSFS_MAGIC, err
}
