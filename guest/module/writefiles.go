package module

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"

	"imprint/base/cloudconfig"
)

// file is an entry of write_files.
type file struct {
	path    string
	content []byte
	owner   string
	mode    fs.FileMode
	add     bool
}

// WriteFiles writes the files that are not deferred.
func WriteFiles(_ context.Context, e *Env) error { return e.writeFiles(false) }

// WriteFilesDeferred writes the files with defer: true, once users and
// packages are there.
func WriteFilesDeferred(_ context.Context, e *Env) error { return e.writeFiles(true) }

// writeFiles writes all it can. cloud-init stops at the first file that
// fails; here the others are still written.
func (e *Env) writeFiles(deferred bool) error {
	list := e.Config.Get("write_files")
	if k := kindOf(list); k != cloudconfig.KindList && k != cloudconfig.KindNull {
		return list.Errorf("write_files: expected a list of files")
	}
	var errs []error
	for i, entry := range list.Items() {
		later, err := entry.Bool("defer")
		if err != nil || later.Or(false) != deferred {
			errs = append(errs, err)
			continue
		}
		if entry.Kind != cloudconfig.KindMap {
			errs = append(errs, entry.Errorf("write_files: entry %d is no map", i+1))
			continue
		}
		if name, _ := entry.Text("path"); name == "" {
			e.Log.Warn(fmt.Sprintf("No path provided to write for entry %d in module write-files", i+1))
			continue
		}
		if err := e.writeFile(entry); err != nil {
			errs = append(errs, fmt.Errorf("write_files: entry %d: %w", i+1, err))
		}
	}
	return errors.Join(errs...)
}

func (e *Env) writeFile(entry *cloudconfig.Node) error {
	f, err := e.readEntry(entry)
	if err != nil {
		return err
	}
	uid, gid, err := e.owner(f.owner)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	root := e.Distro.Root
	if !f.add {
		err = root.WriteFileAs(f.path, f.content, f.mode, uid, gid)
		e.Log.Debug(fmt.Sprintf("Writing to %s - wb: [%o] %d bytes", f.path, f.mode, len(f.content)))
		return err
	}
	e.Log.Debug(fmt.Sprintf("Writing to %s - ab: [%o] %d bytes", f.path, f.mode, len(f.content)))
	if err := root.Append(f.path, f.content, f.mode); err != nil {
		return err
	}
	return errors.Join(root.Chmod(f.path, f.mode), root.Chown(f.path, uid, gid))
}

func (e *Env) readEntry(entry *cloudconfig.Node) (f file, err error) {
	name, err := entry.Text("path")
	if err != nil {
		return f, err
	}
	f.path = path.Join("/", name)
	encoding, err := entry.Text("encoding")
	if err != nil {
		return f, err
	}
	if c := entry.Get("content"); !c.IsNull() {
		text, err := c.AsString()
		if err != nil {
			return f, err
		}
		f.content = []byte(text)
	}
	if f.content, err = e.decode(f.content, encoding); err != nil {
		return f, fmt.Errorf("%s: %w", f.path, err)
	}
	if f.owner, err = entry.Text("owner"); err != nil {
		return f, err
	}
	add, err := entry.Bool("append")
	f.mode, f.add = e.mode(entry.Get("permissions")), add.Or(false)
	return f, err
}

// mode reads permissions: a number is taken as it is, a string as octal.
func (e *Env) mode(n *cloudconfig.Node) fs.FileMode {
	const usual = 0o644
	if n.IsNull() {
		return usual
	}
	var bits int64
	switch kindOf(n) {
	case cloudconfig.KindInt, cloudconfig.KindFloat:
		f, err := n.AsFloat()
		if err == nil && f >= 0 && f <= math.MaxInt32 {
			bits = int64(f)
		} else {
			bits = -1
		}
	default:
		v, err := strconv.ParseInt(strings.TrimPrefix(strings.TrimSpace(n.String()), "0o"), 8, 32)
		if bits = v; err != nil {
			bits = -1
		}
	}
	if bits < 0 || bits > 0o7777 {
		e.Log.Warn(fmt.Sprintf("Undecodable permissions '%s', returning default %o", n, usual))
		return usual
	}
	return unixMode(uint32(bits))
}

// unixMode is a mode of chmod(2) as a Go file mode.
func unixMode(bits uint32) fs.FileMode {
	mode := fs.FileMode(bits & 0o777)
	for bit, m := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if bits&bit != 0 {
			mode |= m
		}
	}
	return mode
}

// owner finds the numbers of "user:group", of which one or both may be left
// out; -1 then leaves the creator's. Numbers are taken too.
func (e *Env) owner(text string) (uid, gid int, err error) {
	user, group, _ := strings.Cut(text, ":")
	uid, gid = -1, -1
	if user = strings.TrimSpace(user); user != "" && user != "-1" && user != "None" {
		a, ok := e.Distro.Account(user)
		if uid = a.UID; !ok {
			if uid, err = strconv.Atoi(user); err != nil {
				return 0, 0, fmt.Errorf("unknown user %q", user)
			}
		}
	}
	if group = strings.TrimSpace(group); group != "" && group != "-1" && group != "None" {
		g, ok := e.Distro.GroupID(group)
		if gid = g; !ok {
			if gid, err = strconv.Atoi(group); err != nil {
				return 0, 0, fmt.Errorf("unknown group %q", group)
			}
		}
	}
	return uid, gid, nil
}
