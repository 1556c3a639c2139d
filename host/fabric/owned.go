package fabric

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"imprint/base/netns"
)

// owned is the record of the namespaces that are ours: a file for each, named
// like it, in a directory of its own.
type owned struct {
	dir string
}

// identity tells a namespace from any other of the same name.
type identity struct {
	Boot string   `json:"boot"`
	NS   netns.ID `json:"ns"`
}

// ensure opens the namespace, and makes it if it is missing. What it is stands
// in the record before it has its name, so that a namespace that others made
// meanwhile is never taken for ours.
func (o owned) ensure(name string) (_ *netns.NS, made bool, err error) {
	ns, err := o.open(name)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return ns, false, err
	}
	ns, err = netns.CreateAfter(name, func(ns *netns.NS) error { return o.sign(name, ns) })
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("namespace %s: %w", name, ErrForeign)
	}
	if err != nil {
		return nil, false, errors.Join(err, o.forget(name))
	}
	return ns, true, nil
}

// open opens the namespace if it is ours: [ErrForeign], fs.ErrNotExist.
func (o owned) open(name string) (*netns.NS, error) {
	record, known, err := o.read(name)
	if err != nil {
		return nil, err
	}
	ns, err := netns.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, err
	case err != nil && known: // the file, but nothing mounted on it yet
		if err := netns.Delete(name); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("namespace %s: %w", name, fs.ErrNotExist)
	case err != nil:
		return nil, fmt.Errorf("namespace %s: %w: %w", name, ErrForeign, err)
	}
	now, err := identify(ns)
	if err == nil && (!known || record != now) {
		err = fmt.Errorf("namespace %s: %w", name, ErrForeign)
	}
	if err != nil {
		ns.Close()
		return nil, err
	}
	return ns, nil
}

// remove deletes the namespace if it is still ours, and forgets it.
func (o owned) remove(name string) error {
	ns, err := o.open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrForeign):
	case err != nil:
		return err
	default:
		ns.Close()
		if err := netns.Delete(name); err != nil {
			return err
		}
	}
	return o.forget(name)
}

func (o owned) forget(name string) error {
	if err := os.Remove(o.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget namespace %s: %w", name, err)
	}
	return nil
}

// names returns all recorded names, sorted.
func (o owned) names() ([]string, error) {
	entries, err := os.ReadDir(o.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list own namespaces: %w", err)
	}
	var names []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (o owned) sign(name string, ns *netns.NS) error {
	id, err := identify(ns)
	if err != nil {
		return err
	}
	return o.write(name, id)
}

func identify(ns *netns.NS) (identity, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return identity{}, fmt.Errorf("identify namespace: %w", err)
	}
	id, err := ns.ID()
	return identity{Boot: strings.TrimSpace(string(boot)), NS: id}, err
}

func (o owned) path(name string) string { return filepath.Join(o.dir, filepath.Base(name)) }

// read returns a record. One that cannot be understood, as a loss of power may
// leave it, counts as none: a namespace of that name is then not ours.
func (o owned) read(name string) (id identity, known bool, err error) {
	b, err := os.ReadFile(o.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return identity{}, false, nil
	}
	if err != nil {
		return identity{}, false, fmt.Errorf("record of namespace %s: %w", name, err)
	}
	if json.Unmarshal(b, &id) != nil {
		return identity{}, false, nil
	}
	return id, true, nil
}

// write makes a record durable before it counts.
func (o owned) write(name string, id identity) error {
	b, err := json.Marshal(id)
	if err != nil {
		return err
	}
	tmp := filepath.Join(o.dir, "."+filepath.Base(name))
	err = writeSynced(tmp, b)
	if err == nil {
		err = os.Rename(tmp, o.path(name))
	}
	if err != nil {
		return fmt.Errorf("record namespace %s: %w", name, err)
	}
	return nil
}

func writeSynced(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}
