package datasource

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
)

// drive is one place where a config drive is: a device, or a directory.
type drive struct {
	source string
	tree   tree
	err    error // it is one, but cannot be read
}

// seedDirs are directories in place of a volume.
func seedDirs() []string { return []string{"/var/lib/cloud/seed/config_drive", "/config-drive"} }

// drives are all config drives in the order in which they are tried:
// directories, then volumes by the device's name, the last one first. A
// drive's tree can be read until the next one is asked for.
func drives(env Env) iter.Seq[drive] {
	return func(yield func(drive) bool) {
		for _, dir := range seedDirs() {
			if env.Root == nil {
				break
			}
			entries, err := env.Root.ReadDir(dir)
			if err == nil && len(entries) > 0 && !yield(drive{source: dir, tree: seedTree{env.Root, dir}}) {
				return
			}
		}
		volumes(env, "config-2", "CONFIG-2")(yield)
	}
}

// volumes are those that have one of the labels.
func volumes(env Env, labels ...string) iter.Seq[drive] {
	return func(yield func(drive) bool) {
		for name, disk := range openDisks(env) {
			volume, err := openLabelled(disk, disk.Size(), labels...)
			if (err != nil || volume != nil) && !yield(drive{source: name, tree: fsTree{volume}, err: err}) {
				return
			}
		}
	}
}

// fsTree is a volume as a tree.
type fsTree struct{ volume fs.FS }

func (t fsTree) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(t.volume, name) }

func (t fsTree) ReadFile(name string) ([]byte, error) {
	f, err := t.volume.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%s is no regular file", name), err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	return bounded(data, err)
}

// seedTree is a directory of the system as a tree.
type seedTree struct {
	root Files
	dir  string
}

func (t seedTree) ReadDir(name string) ([]fs.DirEntry, error) {
	return t.root.ReadDir(path.Join(t.dir, name))
}

func (t seedTree) ReadFile(name string) ([]byte, error) {
	return bounded(t.root.ReadFile(path.Join(t.dir, name)))
}

func bounded(data []byte, err error) ([]byte, error) {
	if err == nil && len(data) > maxDocument {
		return nil, errTooLarge
	}
	return data, err
}
