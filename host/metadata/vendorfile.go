package metadata

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"imprint/base/openstack"
)

// VendorFile is the site's file of static vendor data (nova.conf
// vendordata_jsonfile_path). It is read again when it changes; a file that is
// broken or gone keeps the data as it was, and is told in the log.
type VendorFile struct {
	Path string
	// Set gets the data when it has changed.
	Set func(openstack.VendorData)
	Log *slog.Logger

	seen fileState
}

// fileState tells two versions of a file apart.
type fileState struct {
	size  int64
	mtime time.Time
	gone  bool
}

const (
	vendorFileCheck = time.Second
	maxVendorFile   = 1 << 20
)

// Run looks at the file once a second until ctx ends, and returns nil.
func (f *VendorFile) Run(ctx context.Context) error {
	tick := time.NewTicker(vendorFileCheck)
	defer tick.Stop()
	for {
		f.look()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look reads the file if it is another than before.
func (f *VendorFile) look() {
	var state fileState
	info, err := os.Stat(f.Path)
	if err != nil {
		state.gone = true
	} else {
		state = fileState{size: info.Size(), mtime: info.ModTime()}
	}
	if state == f.seen {
		return
	}
	f.seen = state
	v, err := readVendorFile(f.Path)
	if err != nil {
		orDiscard(f.Log).Warn("static vendor data kept as it was", "error", err)
		return
	}
	f.Set(v)
}

func readVendorFile(path string) (openstack.VendorData, error) {
	file, err := os.Open(path)
	if err != nil {
		return openstack.VendorData{}, err
	}
	defer file.Close()
	b, err := readBounded(file, maxVendorFile)
	if err != nil {
		return openstack.VendorData{}, fmt.Errorf("%s: %w", path, err)
	}
	v, err := openstack.ParseVendorData(b)
	if err != nil {
		return openstack.VendorData{}, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

// isMissing reports whether a file is not there at all.
func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
