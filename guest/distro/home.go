package distro

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// places are the user's home and shell.
func (d *Distro) places(u User) (home, shell string) {
	home, shell = u.Home, u.Shell
	if home == "" {
		home = path.Join("/home", u.Name)
	}
	if shell != "" {
		return home, shell
	}
	shell = "/bin/sh"
	data, _ := d.Root.ReadFile("/etc/default/useradd")
	for line := range strings.Lines(string(data)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "SHELL="); ok && path.IsAbs(v) {
			shell = v
		}
	}
	return home, shell
}

// makeHome makes a home directory from /etc/skel. One that is there is kept
// as it is, as useradd does.
func (d *Distro) makeHome(home string, uid, gid int, defs loginDefs) error {
	if d.exists(home) {
		return nil
	}
	mode := fs.FileMode(0o777 &^ defs["UMASK"])
	if m, ok := defs["HOME_MODE"]; ok {
		mode = fs.FileMode(m) & 0o777
	}
	if err := d.Root.MkdirAll(home, mode); err != nil {
		return fmt.Errorf("make home: %w", err)
	}
	if err := d.copySkeleton("/etc/skel", home, uid, gid); err != nil {
		return fmt.Errorf("copy /etc/skel: %w", err)
	}
	return d.Root.Chown(home, uid, gid)
}

func (d *Distro) copySkeleton(from, to string, uid, gid int) error {
	entries, err := d.Root.ReadDir(from)
	if err != nil {
		return nil // no skeleton: an empty home
	}
	for _, e := range entries {
		src, dst := path.Join(from, e.Name()), path.Join(to, e.Name())
		info, err := e.Info()
		if err != nil {
			return err
		}
		switch {
		case e.IsDir():
			if err := d.Root.MkdirAll(dst, info.Mode().Perm()); err != nil {
				return err
			}
			if err := d.copySkeleton(src, dst, uid, gid); err != nil {
				return err
			}
			err = d.Root.Chown(dst, uid, gid)
		case e.Type().IsRegular():
			var data []byte
			if data, err = d.Root.ReadFile(src); err == nil {
				err = d.Root.WriteFileAs(dst, data, info.Mode().Perm(), uid, gid)
			}
		case e.Type()&fs.ModeSymlink != 0:
			var target string
			if target, err = d.Root.Readlink(src); err == nil {
				err = d.Root.Symlink(target, dst)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
