package configdrive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"imprint/base/openstack"
)

// WriteFile makes the drive of an instance as the file name; see
// [Image.WriteFile].
func (v Volume) WriteFile(name string, i *openstack.Instance) error {
	m, err := v.Instance(i)
	if err != nil {
		return fmt.Errorf("make config drive %s: %w", name, err)
	}
	return m.WriteFile(name)
}

// WriteFile makes the drive the file name, mode 0400. It is written beside, as
// name.new, and renamed when it is complete: the name has the whole drive, or
// what it had before, and after an error nothing else is left. Two calls for
// one name must not overlap. The errors name the file; a full disk is ENOSPC in
// them. A VFAT drive of 64 MiB takes as much room as its documents do, where
// the file system knows holes.
func (m *Image) WriteFile(name string) error {
	if err := m.writeFile(name); err != nil {
		return fmt.Errorf("make config drive %s: %w", name, err)
	}
	return nil
}

func (m *Image) writeFile(name string) (err error) {
	beside := name + ".new"
	f, err := create(beside)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(beside))
		}
	}()
	err = m.into(f)
	if err == nil && m.sync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(beside, name)
}

// create makes a new file in place of one that a writer left who was killed.
func create(name string) (*os.File, error) {
	const flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	f, err := os.OpenFile(name, flags, 0o400)
	if !errors.Is(err, fs.ErrExist) {
		return f, err
	}
	if err := os.Remove(name); err != nil {
		return nil, err
	}
	return os.OpenFile(name, flags, 0o400)
}

// Whole reports whether the file name is a drive that is not cut off. An error
// other than that the volume is damaged is of the file.
func Whole(name string) (bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return false, err
	}
	d, err := openVolume(f, st.Size())
	if err != nil {
		return false, nil
	}
	c := check{drive: d}
	c.readAll()
	c.metaData("openstack/latest", true)
	return len(c.found) == 0, nil
}
