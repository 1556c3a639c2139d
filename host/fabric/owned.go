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

// identity tells a namespace from any other of the same name. A record
// without one was written just before the namespace was made.
type identity struct {
	Boot string   `json:"boot,omitempty"`
	NS   netns.ID `json:"ns"`
}

// ensure opens the namespace, and makes it if it is missing.
func (o owned) ensure(name string) (_ *netns.NS, made bool, err error) {
	ns, err := o.open(name)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return ns, false, err
	}
	if err := o.write(name, identity{}); err != nil {
		return nil, false, err
	}
	if ns, err = netns.Create(name); err != nil {
		return nil, false, err
	}
	if err := o.sign(name, ns); err != nil {
		ns.Close()
		return nil, false, err
	}
	return ns, true, nil
}

// open opens the namespace if it is ours: [ErrForeign], fs.ErrNotExist.
func (o owned) open(name string) (*netns.NS, error) {
	record, known, err := o.read(name)
	if err != nil {
		return nil, err
	}
	begun := known && record == identity{}
	ns, err := netns.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, err
	case err != nil && begun: // the file, but nothing mounted on it yet
		if err := netns.Delete(name); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("namespace %s: %w", name, fs.ErrNotExist)
	case err != nil:
		return nil, fmt.Errorf("namespace %s: %w: %w", name, ErrForeign, err)
	}
	now, err := identify(ns)
	if err == nil && begun {
		err = o.sign(name, ns)
	} else if err == nil && record != now {
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

func (o owned) read(name string) (id identity, known bool, err error) {
	b, err := os.ReadFile(o.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return identity{}, false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &id)
	}
	if err != nil {
		return identity{}, false, fmt.Errorf("record of namespace %s: %w", name, err)
	}
	return id, true, nil
}

func (o owned) write(name string, id identity) error {
	b, err := json.Marshal(id)
	if err != nil {
		return err
	}
	tmp := filepath.Join(o.dir, "."+filepath.Base(name))
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return fmt.Errorf("record namespace %s: %w", name, err)
	}
	if err := os.Rename(tmp, o.path(name)); err != nil {
		return fmt.Errorf("record namespace %s: %w", name, err)
	}
	return nil
}
