package distro

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	hostnameFile = "/etc/hostname"
	// maxHostname is the kernel's limit (gethostname(2)).
	maxHostname = 64
)

func setKernelHostname(name string) error { return unix.Sethostname([]byte(name)) }

func kernelHostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

// SetHostname writes /etc/hostname and tells the kernel. name is refused when
// it could not be a host name: longer than 64 bytes, or with blanks, control
// characters or slashes.
func (d *Distro) SetHostname(name string) error {
	if err := checkHostname(name); err != nil {
		return err
	}
	if err := d.writeHostname(hostnameFile, name); err != nil {
		return err
	}
	return d.applyHostname(name)
}

// UpdateHostname brings /etc/hostname to name, unless its content is not what
// the agent wrote there at last (remembered in the file previous): then a
// person maintains it. live is the name given to the kernel if the file
// changed. cloud-init: distros/__init__.py update_hostname.
func (d *Distro) UpdateHostname(name, live, previous string) error {
	if err := checkHostname(name); err != nil {
		return err
	}
	last, system := d.readHostname(previous), d.readHostname(hostnameFile)
	if system != "" && last != "" && system != last {
		d.Log.Info(previous + " differs from " + hostnameFile + ", assuming user maintained hostname.")
		return nil
	}
	if last != name {
		if err := d.writeHostname(previous, name); err != nil {
			return err
		}
	}
	if system != "" && (system != last || system == name) {
		return nil
	}
	if err := d.writeHostname(hostnameFile, name); err != nil {
		return err
	}
	return d.applyHostname(live)
}

func checkHostname(name string) error {
	bad := func(r rune) bool { return r <= ' ' || r == '/' || r == 0x7f }
	if name == "" || len(name) > maxHostname || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("%q cannot be a host name", name)
	}
	return nil
}

func (d *Distro) applyHostname(name string) error {
	if err := d.Kernel(name); err != nil {
		return fmt.Errorf("set host name %s: %w", name, err)
	}
	return nil
}

// readHostname returns the first line that is no comment (hostname(5)), or "".
func (d *Distro) readHostname(file string) string {
	data, _ := d.Root.ReadFile(file)
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return line
		}
	}
	return ""
}

// writeHostname replaces the name in file and keeps its comments.
func (d *Distro) writeHostname(file, name string) error {
	data, _ := d.Root.ReadFile(file)
	var b strings.Builder
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			b.WriteString(line)
		}
	}
	b.WriteString(name + "\n")
	if err := d.Root.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// ApplyHostname gives the kernel the name of /etc/hostname, if there is one.
// That is the init's work; systemd does it, a smaller init may not.
func (d *Distro) ApplyHostname() error {
	name := d.readHostname(hostnameFile)
	if checkHostname(name) != nil || name == d.Live() {
		return nil
	}
	return d.applyHostname(name)
}
