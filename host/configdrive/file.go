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
// name.new, and renamed when it is complete and on disk: the name has the whole
// drive, or what it had before, and after an error nothing else is left. Two
// calls for one name must not overlap. The errors name the file; a full disk is
// ENOSPC in them. A VFAT drive of 64 MiB takes as much room as its documents
// do, where the file system knows holes.
func (m *Image) WriteFile(name string) error {
	if err := m.writeFile(name); err != nil {
		return fmt.Errorf("make config drive %s: %w", name, err)
	}
	return nil
}

func (m *Image) writeFile(name string) (err error) {
	beside := name + ".new"
	if err := os.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // of a writer that was killed
	}
	f, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(beside))
		}
	}()
	err = m.into(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(beside, name)
}
