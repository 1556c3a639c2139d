// Package clouddir keeps what an instance remembers of its boots: /var/lib/cloud and /run/cloud-init.
//
// Names, modes and formats are those of cloud-init 22.4 (helpers.py Paths and
// FileSemaphores, cmd/main.py status_wrapper, stages.py instancify), so that
// tools which read them go on working. Every file is replaced atomically: a
// boot that was cut off leaves the old file or the new one, and the next boot
// goes on from there. The one departure is the cached instance, which is JSON
// of our own (instance.json) where cloud-init has a Python pickle (obj.pkl).
package clouddir

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"imprint/base/rootfs"
)

// Places in the instance's file system.
const (
	// CloudDir is what lasts over boots.
	CloudDir = "/var/lib/cloud"
	// RunDir is what lasts for one boot.
	RunDir = "/run/cloud-init"
	// InstanceLink points at the current instance's directory.
	InstanceLink = CloudDir + "/instance"
	// DataDir keeps what concerns the machine rather than one instance.
	DataDir = CloudDir + "/data"
	// LogFile is the log in cloud-init's line format.
	LogFile = "/var/log/cloud-init.log"
	// OutputFile collects what the stages and their programs print.
	OutputFile = "/var/log/cloud-init-output.log"
)

// NoPreviousInstance stands in previous-instance-id before the first boot.
const NoPreviousInstance = "NO_PREVIOUS_INSTANCE_ID"

// Dir is the state of one system. Use New. It is not safe for concurrent use.
type Dir struct {
	root *rootfs.Root
	now  func() time.Time
}

// New returns the state kept below root. now nil means time.Now.
func New(root *rootfs.Root, now func() time.Time) *Dir {
	if now == nil {
		now = time.Now
	}
	return &Dir{root: root, now: now}
}

// Prepare makes the directories that exist before an instance is known.
// cloud-init: stages.py _initial_subdirs.
func (d *Dir) Prepare() error {
	for _, name := range []string{
		CloudDir, CloudDir + "/scripts",
		CloudDir + "/scripts/per-instance", CloudDir + "/scripts/per-once",
		CloudDir + "/scripts/per-boot", CloudDir + "/scripts/vendor",
		CloudDir + "/seed", CloudDir + "/instances", CloudDir + "/handlers",
		CloudDir + "/sem", DataDir, RunDir, RunDir + "/sem",
	} {
		if err := d.root.MkdirAll(name, 0o755); err != nil {
			return fmt.Errorf("make %s: %w", name, err)
		}
	}
	return nil
}

// InstanceDir is the directory of the instance id, whose characters that
// cannot stand in a file name become underscores, as in cloud-init's Paths.
func InstanceDir(id string) string {
	safe := strings.ReplaceAll(id, "/", "_")
	if safe == "" || safe == "." || safe == ".." {
		safe = "_" + safe
	}
	return path.Join(CloudDir, "instances", safe)
}

// readLine returns the trimmed content of a file, or "" without one.
func (d *Dir) readLine(name string) string {
	data, err := d.root.ReadFile(name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// remove removes a file; that it is not there is no error.
func (d *Dir) remove(name string) error {
	if err := d.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// writeJSON writes v as cloud-init's atomic_helper.write_json does: keys
// sorted (by the field order of our types), one blank of indentation.
func (d *Dir) writeJSON(name string, v any, mode fs.FileMode) error {
	data, err := marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return d.keep(name, data, mode)
}

// keep writes a file that the next boot needs, unless it is so already.
func (d *Dir) keep(name string, data []byte, mode fs.FileMode) error {
	if d.has(name, data, mode) {
		return nil
	}
	if err := d.root.WriteFile(name, data, mode); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// note writes a file that each boot makes anew, or of which only the presence
// counts: it does not wait for the disk.
func (d *Dir) note(name string, data []byte, mode fs.FileMode) error {
	if d.has(name, data, mode) {
		return nil
	}
	if err := d.root.WriteFileLazy(name, data, mode); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// has tells whether a regular file has this content and mode.
func (d *Dir) has(name string, data []byte, mode fs.FileMode) bool {
	info, err := d.root.Lstat(name)
	if err != nil || info.Mode() != mode || info.Size() != int64(len(data)) {
		return false
	}
	old, err := d.root.ReadFile(name)
	return err == nil && bytes.Equal(old, data)
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
