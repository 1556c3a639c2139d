package distro

import (
	"fmt"
	"io/fs"
	"strings"
)

const (
	sshdConfig    = "/etc/ssh/sshd_config"
	sshdConfigDir = sshdConfig + ".d"
	sshdOwnConfig = sshdConfigDir + "/50-cloud-init.conf"
)

// SetSSHD sets options of sshd's configuration, in 50-cloud-init.conf where
// sshd_config includes its directory, else in sshd_config itself. changed
// tells whether sshd must read it anew. cloud-init: ssh_util.py
// update_ssh_config.
func (d *Distro) SetSSHD(options ...[2]string) (changed bool, err error) {
	file, mode := sshdConfig, fs.FileMode(0o644)
	if d.includesSSHDDir() {
		if err := d.Root.MkdirAll(sshdConfigDir, 0o755); err != nil {
			return false, fmt.Errorf("make %s: %w", sshdConfigDir, err)
		}
		file, mode = sshdOwnConfig, 0o600
	}
	data, rerr := d.Root.ReadFile(file)
	if info, err := d.Root.Stat(file); rerr == nil && err == nil {
		mode = info.Mode().Perm()
	}
	text, changed := setOptions(string(data), options)
	if !changed {
		return false, nil
	}
	if err := d.Root.WriteFile(file, []byte(text), mode); err != nil {
		return false, fmt.Errorf("write %s: %w", file, err)
	}
	return true, nil
}

func (d *Distro) includesSSHDDir() bool {
	data, _ := d.Root.ReadFile(sshdConfig)
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "Include "+sshdConfigDir+"/*.conf") {
			return true
		}
	}
	return false
}

// setOptions changes the lines of the options and appends missing ones.
func setOptions(text string, options [][2]string) (string, bool) {
	found := make([]bool, len(options))
	changed := false
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		key, value := sshdLine(line)
		for i, o := range options {
			if !strings.EqualFold(key, o[0]) {
				continue
			}
			found[i] = true
			if value != o[1] {
				line, changed = key+" "+o[1], true
			}
		}
		b.WriteString(line + "\n")
	}
	for i, o := range options {
		if !found[i] {
			b.WriteString(o[0] + " " + o[1] + "\n")
			changed = true
		}
	}
	return b.String(), changed
}

// sshdLine splits a line into keyword and arguments; both are empty for a
// comment (sshd_config(5)).
func sshdLine(line string) (key, value string) {
	if line == "" || line[0] == '#' {
		return "", ""
	}
	i := strings.IndexAny(line, " \t=")
	if i < 0 {
		return "", ""
	}
	return line[:i], strings.TrimLeft(line[i:], " \t=")
}

// sshdOption is the value of a keyword in sshd_config, "" when not set.
func (d *Distro) sshdOption(keyword string) string {
	data, _ := d.Root.ReadFile(sshdConfig)
	for line := range strings.Lines(string(data)) {
		key, value := sshdLine(strings.TrimSpace(line))
		if strings.EqualFold(key, "Match") {
			return ""
		}
		if strings.EqualFold(key, keyword) {
			return value
		}
	}
	return ""
}
