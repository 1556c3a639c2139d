package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"imprint/base/rootfs"
	"imprint/guest/clouddir"
)

// collectTimeout bounds one command whose output is collected.
const collectTimeout = 30 * time.Second

// installerLogs are files of installers; their directories are collected even
// where they are not. cloud-init: cmd/devel/logs.py.
func installerLogs(secret bool) []string {
	if secret {
		return []string{"/var/log/installer/autoinstall-user-data", "/autoinstall.yaml", "/etc/cloud/cloud.cfg.d/99-installer.cfg"}
	}
	const dir = "/var/log/installer/"
	return []string{dir + "ubuntu_desktop_installer.log", dir + "subiquity-server-debug.log", dir + "subiquity-client-debug.log",
		dir + "curtin-install.log", dir + "curtin-install/subiquity-initial.conf", dir + "curtin-install/subiquity-curthooks.conf",
		dir + "curtin-install/subiquity-extract.conf", dir + "curtin-install/subiquity-partitioning.conf",
		dir + "curtin-error-logs.tar", dir + "curtin-errors.tar", dir + "block/probe-data.json"}
}

func (p *program) collectCommand() *command {
	var c collection
	file := "cloud-init.tar.gz"
	return &command{
		name:    "collect-logs",
		summary: "Collect and tar all cloud-init debug info.",
		options: []option{
			{names: []string{"--verbose", "-v"}, count: &c.verbose, help: "Be more verbose."},
			{names: []string{"--tarfile", "-t"}, meta: "TARFILE", value: &file, help: "The tarfile to create containing all collected logs. Default: cloud-init.tar.gz"},
			{names: []string{"--include-userdata", "-u"}, flag: &c.userData, help: "Optionally include user-data from /var/lib/cloud/instance/user-data.txt which could contain sensitive information."},
		},
		run: func() int {
			if c.userData && os.Getuid() != 0 {
				fmt.Fprintln(p.err, "To include userdata, root user is required. Try sudo cloud-init collect-logs")
				return exitFailed
			}
			return p.withRoot(func(root *rootfs.Root) int {
				c.root, c.say, c.name = root, p.err, time.Now().UTC().Format("cloud-init-logs-2006-01-02")
				if err := c.write(file); err != nil {
					return p.fail(err)
				}
				full, err := filepath.Abs(file)
				if err != nil {
					return p.fail(err)
				}
				fmt.Fprintf(p.err, "Wrote %s\n", full)
				return exitOK
			})
		},
	}
}

// collection is an archive of logs while it is made.
type collection struct {
	root     *rootfs.Root
	say      io.Writer
	name     string
	verbose  int
	userData bool
	tar      *tar.Writer
	dirs     map[string]bool
}

func (c *collection) write(file string) (err error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	z := gzip.NewWriter(f)
	c.tar, c.dirs = tar.NewWriter(z), map[string]bool{}
	return errors.Join(c.collect(), c.tar.Close(), z.Close(), f.Close())
}

func (c *collection) collect() error {
	err := errors.Join(
		c.dir(""),
		c.add("version", []byte(version+"\n")),
		c.command("dpkg-version", "dpkg-query", "--show", "-f=${Version}\n", "cloud-init"),
		c.command("dmesg.txt", "dmesg"),
		c.command("journal.txt", "journalctl", "--boot=0", "-o", "short-precise"),
		c.file(clouddir.LogFile, ""), c.file(clouddir.OutputFile, ""),
	)
	logs := installerLogs(false)
	if c.userData {
		err = errors.Join(err, c.file(clouddir.InstanceLink+"/user-data.txt", ""))
		logs = append(logs, installerLogs(true)...)
	}
	for _, name := range logs {
		err = errors.Join(err, c.dir(path.Dir(name)), c.file(name, path.Dir(name)))
	}
	err = errors.Join(err, c.dir("/run"), c.tree(clouddir.RunDir))
	if _, serr := c.root.Stat(clouddir.RunDir + "/disabled"); serr == nil {
		err = errors.Join(err, c.tree(clouddir.DataDir))
	}
	return err
}

// command adds what a program prints, or why it did not.
func (c *collection) command(name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).Output()
	if err != nil {
		out = []byte(err.Error() + "\n")
		c.tell(1, "collecting %s failed.\n", strings.Join(args[:1], " "))
	}
	return c.add(name, out)
}

func (c *collection) tell(level int, format string, args ...any) {
	if level <= c.verbose {
		fmt.Fprintf(c.say, format, args...)
	}
}

// file adds a file, if it is there, to a directory of the archive.
func (c *collection) file(name, dir string) error {
	data, err := c.root.ReadFile(name)
	if err != nil {
		c.tell(2, "file %s did not exist\n", name)
		return nil
	}
	c.tell(1, "collected file: %s\n", name)
	return c.add(path.Join(dir, path.Base(name)), data)
}

// tree adds a directory with all below it; secrets for root alone.
func (c *collection) tree(dir string) error {
	entries, err := c.root.ReadDir(dir)
	if err != nil {
		c.tell(1, "directory '%s' did not exist\n", dir)
		return nil
	}
	errs := []error{c.dir(dir)}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case e.IsDir():
			errs = append(errs, c.tree(name))
		case name == sensitiveData && os.Getuid() != 0:
		case e.Type().IsRegular() || e.Type()&fs.ModeSymlink != 0:
			errs = append(errs, c.file(name, dir))
		}
	}
	return errors.Join(errs...)
}

// dir adds a directory and those above it, once.
func (c *collection) dir(name string) error {
	name = strings.Trim(name, "/")
	if c.dirs[name] {
		return nil
	}
	if name != "" {
		if err := c.dir(strings.TrimSuffix(path.Dir(name), ".")); err != nil {
			return err
		}
	}
	c.dirs[name] = true
	full := c.name + "/"
	if name != "" {
		full += name + "/"
	}
	return c.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: full, Mode: 0o755, ModTime: time.Now()})
}

func (c *collection) add(name string, data []byte) error {
	name = path.Join(c.name, name)
	err := c.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: int64(len(data)), ModTime: time.Now()})
	if err != nil {
		return err
	}
	_, err = c.tar.Write(data)
	return err
}
