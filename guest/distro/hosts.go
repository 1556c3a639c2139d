package distro

import (
	"fmt"
	"slices"
	"strings"
)

const (
	hostsFile = "/etc/hosts"
	// ownAddress is the address of the machine's own name on Debian
	// (Debian Reference, 5.1.1 The hostname resolution).
	ownAddress = "127.0.1.1"
)

const hostsText = `# manage_etc_hosts is true: this file is written anew at every boot.
# To keep changes of your own, set manage_etc_hosts to false or localhost
# in the user data or in /etc/cloud/cloud.cfg.
%[1]s %[2]s %[3]s
127.0.0.1 localhost

# IPv6
::1 localhost ip6-localhost ip6-loopback
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
`

// WriteHosts replaces /etc/hosts by one that knows the host itself.
func (d *Distro) WriteHosts(hostname, fqdn string) error {
	if err := checkHosts(hostname, fqdn); err != nil {
		return err
	}
	return d.writeHosts(fmt.Sprintf(hostsText, ownAddress, fqdn, hostname))
}

// UpdateHosts adds the host's own names to /etc/hosts, at 127.0.1.1, unless
// they stand there; all else is kept.
// cloud-init: distros/__init__.py update_etc_hosts.
func (d *Distro) UpdateHosts(hostname, fqdn string) error {
	if err := checkHosts(hostname, fqdn); err != nil {
		return err
	}
	data, err := d.Root.ReadFile(hostsFile)
	text := string(data)
	if err != nil {
		text = d.header("added") + "\n"
	}
	var kept, own strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n") + "\n"
		names, _, _ := strings.Cut(line, "#")
		f := strings.Fields(names)
		if len(f) < 2 || f[0] != ownAddress {
			kept.WriteString(line)
			continue
		}
		if f[1] == fqdn && slices.Contains(f[2:], hostname) {
			return nil
		}
		own.WriteString(line)
	}
	own.WriteString(strings.Join([]string{ownAddress, fqdn, hostname}, "\t") + "\n")
	return d.writeHosts(kept.String() + own.String())
}

func checkHosts(names ...string) error {
	for _, n := range names {
		if n == "" || strings.ContainsFunc(n, func(r rune) bool { return r <= ' ' || r == '#' || r == 0x7f }) {
			return fmt.Errorf("%q cannot stand in %s", n, hostsFile)
		}
	}
	return nil
}

func (d *Distro) writeHosts(text string) error {
	if err := d.Root.WriteFile(hostsFile, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", hostsFile, err)
	}
	return nil
}

// HostsName returns the first name that /etc/hosts gives to an entry which
// holds hostname, "" without one. cloud-init: util.py get_fqdn_from_hosts.
func (d *Distro) HostsName(hostname string) string {
	data, _ := d.Root.ReadFile(hostsFile)
	for line := range strings.Lines(string(data)) {
		names, _, _ := strings.Cut(line, "#")
		f := strings.Fields(names)
		if len(f) > 2 && slices.Contains(f[2:], hostname) {
			return f[1]
		}
	}
	return ""
}
