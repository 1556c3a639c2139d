package stage

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"imprint/guest/clouddir"
	"imprint/guest/datasource"
)

// inject writes the files that came with new instances, some of which may be
// nil. It is done before an instance becomes the current one, so a boot that is
// cut off does it again. A file that cannot be written keeps no other back.
// cloud-init 22.4: sources/DataSourceConfigDrive.py, write_injected_files.
func (b *Boot) inject(from ...*datasource.Instance) {
	for _, inst := range from {
		if inst == nil || len(inst.Files) == 0 || b.Dir.PreviousID() == inst.InstanceID {
			continue
		}
		log := b.Log.With(clouddir.Component, inst.Class+".py")
		log.Debug("Writing injected files", "count", len(inst.Files))
		for _, f := range inst.Files {
			if err := b.injectFile(f); err != nil {
				log.Warn("Failed writing file: " + printable(err.Error()))
			}
		}
	}
}

// injectFile writes one file: for root alone if it is new, with its owner if it
// is not. Its name is taken from the root of the system and does not leave it.
func (b *Boot) injectFile(f datasource.File) error {
	const mode = 0o660
	name := "/" + strings.TrimLeft(f.Path, "/")
	uid, gid := os.Geteuid(), os.Getegid()
	info, err := b.Root.Stat(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			uid, gid = int(st.Uid), int(st.Gid)
		}
	}
	return b.Root.WriteFileAs(name, f.Data, mode, uid, gid)
}
