package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// dryRun lets work change a shadow of the system in dir, an overlay that is
// mounted nowhere, and prints what it changed.
func (p *program) dryRun(dir string, work func(shadow string) int) int {
	layers, err := os.MkdirTemp("", "imprint-dry-run.")
	if err != nil {
		return p.fail(err)
	}
	defer os.RemoveAll(layers)
	upper := filepath.Join(layers, "upper")
	fd, err := overlay(dir, upper, filepath.Join(layers, "work"))
	if err != nil {
		return p.fail(fmt.Errorf("dry run needs an overlay, and so root: %w", err))
	}
	defer unix.Close(fd)
	status := work(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err := p.printChanges(dir, upper); err != nil {
		return p.fail(err)
	}
	return status
}

// overlay makes a file system that shows lower and keeps changes in upper.
func overlay(lower, upper, work string) (fd int, err error) {
	if lower, err = filepath.Abs(lower); err != nil {
		return -1, err
	}
	for _, d := range []string{upper, work} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return -1, err
		}
	}
	fsfd, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fsfd)
	for _, option := range [][2]string{{"lowerdir", lower}, {"upperdir", upper}, {"workdir", work}} {
		if err := unix.FsconfigSetString(fsfd, option[0], option[1]); err != nil {
			return -1, fmt.Errorf("%s %s: %w", option[0], option[1], err)
		}
	}
	if err := unix.FsconfigCreate(fsfd); err != nil {
		return -1, err
	}
	return unix.Fsmount(fsfd, unix.FSMOUNT_CLOEXEC, 0)
}

// printChanges prints what differs between upper and what is below it.
func (p *program) printChanges(lower, upper string) error {
	return filepath.WalkDir(upper, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == upper {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(name, upper)
		st := info.Sys().(*syscall.Stat_t)
		old, oldErr := os.Lstat(filepath.Join(lower, rel))
		switch {
		case info.Mode()&fs.ModeCharDevice != 0 && st.Rdev == 0:
			fmt.Fprintf(p.out, "delete %s\n", rel)
			return nil
		case oldErr != nil:
			fmt.Fprintf(p.out, "add    %s\n", facts(rel, name, info, st))
		case d.IsDir() && old.Mode() == info.Mode():
		default:
			fmt.Fprintf(p.out, "change %s\n", facts(rel, name, info, st))
		}
		return nil
	})
}

// facts are a file's mode, owner, name, and target or size.
func facts(rel, name string, info fs.FileInfo, st *syscall.Stat_t) string {
	text := fmt.Sprintf("%04o %d:%d %s", st.Mode&0o7777, st.Uid, st.Gid, rel)
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(name)
		if err == nil {
			text += " -> " + target
		}
	case info.IsDir():
		text += "/"
	default:
		text += fmt.Sprintf(" (%d bytes)", info.Size())
	}
	return text
}
