package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Create makes a named namespace and opens it. errors.Is fs.ErrExist when the
// name is taken. iproute2: ip/ipnetns.c netns_add; unlike it, no mount is left
// on the directory itself.
func Create(name string) (*NS, error) {
	return CreateAfter(name, func(*NS) error { return nil })
}

// CreateAfter is [Create] that calls known with the namespace before it has its
// name, so that whoever made it can be recorded first. When known fails, or the
// name is taken, there is no namespace.
func CreateAfter(name string, known func(*NS) error) (*NS, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	ns, err := anonymous(name)
	if err != nil {
		return nil, fmt.Errorf("create namespace %s: %w", name, err)
	}
	if err = known(ns); err == nil {
		err = ns.publish()
	}
	if err != nil {
		ns.Close()
		return nil, fmt.Errorf("create namespace %s: %w", name, err)
	}
	return ns, nil
}

// anonymous makes a namespace that is to be called name.
func anonymous(name string) (*NS, error) {
	ns := &NS{name: name}
	err := onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		ns.f, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	return ns, err
}

// publish gives the namespace its name.
func (ns *NS) publish() error {
	if err := os.MkdirAll(Dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(Dir, ns.name)
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE|os.O_EXCL, 0)
	if err != nil {
		return err
	}
	f.Close()
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", ns.FD()), path, "", unix.MS_BIND, ""); err != nil {
		os.Remove(path)
		return fmt.Errorf("mount: %w", err)
	}
	return nil
}

// Delete removes the name; the namespace itself ends when nothing uses it any
// more. errors.Is fs.ErrNotExist when there is no such name.
func Delete(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	path := filepath.Join(Dir, name)
	err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: a plain file, left by a Create that died
		return fmt.Errorf("delete namespace %s: %w", name, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("delete namespace: %w", err)
	}
	return nil
}

// List returns the names of all named namespaces, sorted.
func List() ([]string, error) {
	entries, err := os.ReadDir(Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	var names []string
	for _, e := range entries {
		is, err := isNamespace(filepath.Join(Dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("list namespaces: %s: %w", e.Name(), err)
		}
		if is {
			names = append(names, e.Name())
		}
	}
	return names, nil
}
