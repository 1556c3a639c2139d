package clouddir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Frequency says how often something runs.
type Frequency string

// The frequencies, spelled as in cloud-init's settings.py.
const (
	PerInstance Frequency = "once-per-instance"
	PerAlways   Frequency = "always"
	PerOnce     Frequency = "once"
)

// ParseFrequency reads a frequency in its long or short form: "instance",
// "once-per-instance", "always", "once".
func ParseFrequency(s string) (Frequency, error) {
	switch s {
	case "instance", string(PerInstance):
		return PerInstance, nil
	case string(PerAlways):
		return PerAlways, nil
	case string(PerOnce):
		return PerOnce, nil
	}
	return "", fmt.Errorf("unknown frequency %q (known: instance, always, once)", s)
}

// semaphore names the file that remembers a run, "" for PerAlways.
func semaphore(name string, f Frequency) string {
	name = strings.ReplaceAll(name, "-", "_")
	switch f {
	case PerInstance:
		return path.Join(InstanceLink, "sem", name)
	case PerOnce:
		return path.Join(CloudDir, "sem", name+"."+string(PerOnce))
	}
	return ""
}

// HasRun reports whether name already ran at this frequency.
func (d *Dir) HasRun(name string, f Frequency) bool {
	file := semaphore(name, f)
	if file == "" {
		return false
	}
	_, err := d.root.Lstat(file)
	return !errors.Is(err, fs.ErrNotExist)
}

// Mark remembers that name ran. It is called before the work itself, as
// cloud-init does: work that is cut off by a crash is not begun twice.
func (d *Dir) Mark(name string, f Frequency) error {
	file := semaphore(name, f)
	if file == "" {
		return nil
	}
	return d.writeStamp(file)
}

// MarkBoot remembers for this boot that name was done.
func (d *Dir) MarkBoot(name string) error { return d.writeStamp(bootSemaphore(name)) }

// DoneThisBoot reports whether name was done in this boot.
func (d *Dir) DoneThisBoot(name string) bool {
	_, err := d.root.Lstat(bootSemaphore(name))
	return err == nil
}

func bootSemaphore(name string) string {
	return path.Join(RunDir, "sem", strings.ReplaceAll(name, "-", "_")+"."+string(PerOnce))
}

func (d *Dir) writeStamp(file string) error {
	stamp := fmt.Sprintf("%d: %s\n", os.Getpid(), formatSeconds(d.seconds()))
	if err := d.root.WriteFileLazy(file, []byte(stamp), 0o644); err != nil {
		return fmt.Errorf("mark %s: %w", file, err)
	}
	return nil
}
