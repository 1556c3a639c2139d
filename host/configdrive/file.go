package configdrive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"imprint/base/openstack"
)

// WriteFile makes the drive of an instance as the file name, mode 0400. It is
// written beside, as name.new, and renamed when it is complete and on disk: the
// name has the whole drive, or what it had before, and after an error nothing
// else is left. Two calls for one name must not overlap. The errors name the
// file; a full disk is ENOSPC in them. A VFAT drive of 64 MiB takes as much
// room as its documents do, where the file system knows holes.
func (v Volume) WriteFile(name string, i *openstack.Instance) error {
	if err := v.writeFile(name, i); err != nil {
		return fmt.Errorf("make config drive %s: %w", name, err)
	}
	return nil
}

func (v Volume) writeFile(name string, i *openstack.Instance) (err error) {
	files, err := v.files(i)
	if err != nil {
		return err
	}
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
	err = v.write(f, i, files)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(beside, name)
}

func (v Volume) write(f *os.File, i *openstack.Instance, files []openstack.DriveFile) error {
	switch v.Format {
	case ISO9660, "":
		_, err := v.iso9660(files).WriteTo(f)
		return err
	case VFAT:
		return v.vfat(i, files).WriteSparse(f)
	}
	return fmt.Errorf("format %q is unknown", v.Format)
}
