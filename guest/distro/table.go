package distro

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// table is a colon-separated file such as /etc/passwd. Lines that this
// package does not touch (comments, NIS entries) stay as they are.
type table struct {
	name     string
	optional bool // not made where it is absent
	mode     fs.FileMode
	lines    []string
	present  bool
	changed  bool
}

// load reads the file; one that is not there is an empty table.
func (t *table) load(d *Distro) error {
	data, err := d.Root.ReadFile(t.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", t.name, err)
	}
	t.present = true
	if text := strings.TrimRight(string(data), "\n"); text != "" {
		t.lines = strings.Split(text, "\n")
	}
	return nil
}

// store writes the file if it changed, with the owner and mode it had.
func (t *table) store(d *Distro) error {
	if !t.changed || t.optional && !t.present {
		return nil
	}
	mode, uid, gid := t.mode, 0, 0
	if info, err := d.Root.Stat(t.name); err == nil {
		mode = info.Mode().Perm()
		uid, gid = owner(info)
	} else if t.mode == shadowMode {
		gid = d.shadowGID()
	}
	data := []byte(strings.Join(t.lines, "\n") + "\n")
	if err := d.Root.WriteFileAs(t.name, data, mode, uid, gid); err != nil {
		return fmt.Errorf("write %s: %w", t.name, err)
	}
	return nil
}

// find returns the index and fields of the entry key, or -1.
func (t *table) find(key string) (int, []string) {
	for i, line := range t.lines {
		if name, _, ok := strings.Cut(line, ":"); ok && name == key {
			return i, strings.Split(line, ":")
		}
	}
	return -1, nil
}

// set replaces the entry of fields[0] or adds it at the end. A field that
// would break the format is an error: it could forge an entry.
func (t *table) set(fields ...string) error {
	for _, f := range fields {
		if strings.ContainsAny(f, ":\n\r\x00") {
			return fmt.Errorf("%s: entry %q has a character that cannot be stored", t.name, fields[0])
		}
	}
	line := strings.Join(fields, ":")
	t.changed = true
	if i, _ := t.find(fields[0]); i >= 0 {
		t.lines[i] = line
		return nil
	}
	t.lines = append(t.lines, line)
	return nil
}

// ids returns the numbers in the given column.
func (t *table) ids(column int) map[int]bool {
	used := map[int]bool{}
	for _, line := range t.lines {
		if f := strings.Split(line, ":"); len(f) > column {
			if n, err := strconv.Atoi(f[column]); err == nil {
				used[n] = true
			}
		}
	}
	return used
}
