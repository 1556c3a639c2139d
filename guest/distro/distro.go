// Package distro is what differs between distributions: accounts, host name, hosts file, time zone, sshd and services.
//
// Debian is the one it knows now; file formats and results follow what
// cloud-init 22.4 gets on Debian 12 by calling useradd, passwd, chpasswd,
// hostname and ssh-keygen (distros/__init__.py, distros/debian.py). Here the
// files are written by this package itself, so a guest needs none of those
// programs.
package distro

import (
	"crypto/rand"
	"io"
	"log/slog"
	"path"
	"strings"
	"time"

	"imprint/base/rootfs"
)

// Distro is one system. Root must be set; the other fields have defaults. It
// is not safe for concurrent use.
type Distro struct {
	Root *rootfs.Root
	// Runner starts programs; nil means Exec(Root).
	Runner Runner
	// Kernel sets the running kernel's host name, Live is the one that it has
	// now. Nil means the real kernel, or none for a root that is not the
	// running system's: whose name is localhost and stays so.
	Kernel func(hostname string) error
	Live   func() string
	// Rand is the source of salts, passwords and keys; nil means the kernel's.
	Rand io.Reader
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Version stands in the headers of files that the agent makes.
	Version string
	// Log gets what was done; nil means nothing.
	Log *slog.Logger
}

// New returns d with its defaults filled in.
func New(d Distro) *Distro {
	if d.Runner == nil {
		d.Runner = Exec(d.Root)
	}
	if d.Kernel == nil {
		d.Kernel = setKernelHostname
		if !d.Running() {
			d.Kernel = func(string) error { return nil }
		}
	}
	if d.Live == nil {
		d.Live = kernelHostname
		if !d.Running() {
			d.Live = func() string { return "localhost" }
		}
	}
	if d.Rand == nil {
		d.Rand = rand.Reader
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	d.Log = d.Log.With("component", "debian.py")
	return &d
}

// Running reports whether the root is the running system's.
func (d *Distro) Running() bool { return path.Clean(d.Root.Dir()) == "/" }

// Release is what /etc/os-release says of the system; fields may be empty.
type Release struct {
	ID       string // debian
	Version  string // 12
	Codename string // bookworm
}

// Release reads /etc/os-release, or /usr/lib/os-release in its place
// (os-release(5)).
func (d *Distro) Release() Release {
	data, err := d.Root.ReadFile("/etc/os-release")
	if err != nil {
		data, _ = d.Root.ReadFile("/usr/lib/os-release")
	}
	var r Release
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"'`)
		switch key {
		case "ID":
			r.ID = value
		case "VERSION_ID":
			r.Version = value
		case "VERSION_CODENAME":
			r.Codename = value
		}
	}
	return r
}

// header is the first line of a file that the agent makes.
// cloud-init: util.py make_header.
func (d *Distro) header(verb string) string {
	return "# " + verb + " by cloud-init v. " + d.Version + " on " + d.Now().UTC().Format(time.RFC1123Z)
}

// exists reports whether name is there, after following links.
func (d *Distro) exists(name string) bool {
	_, err := d.Root.Stat(name)
	return err == nil
}
