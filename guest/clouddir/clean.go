package clouddir

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// Clean removes what the boots left, so that the next one is a first boot.
// The seed directory and the logs stay unless asked for.
// cloud-init: cmd/clean.py.
func (d *Dir) Clean(seed, logs bool) error {
	if logs {
		for _, name := range []string{LogFile, OutputFile} {
			if err := d.remove(name); err != nil {
				return err
			}
		}
	}
	entries, err := d.root.ReadDir(CloudDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", CloudDir, err)
	}
	for _, e := range entries {
		if e.Name() == "seed" && !seed {
			continue
		}
		name := path.Join(CloudDir, e.Name())
		if err := d.root.RemoveAll(name); err != nil {
			return fmt.Errorf("remove %s: %w", name, err)
		}
	}
	return nil
}
