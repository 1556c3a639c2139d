package distro

import (
	"fmt"
	"path"
	"strings"
)

const (
	sudoersFile = "/etc/sudoers"
	sudoersDir  = "/etc/sudoers.d"
	sudoRules   = sudoersDir + "/90-cloud-init-users"
)

// AddSudoRules gives user the rules, each without the user's name in front.
// cloud-init: distros/__init__.py write_sudo_rules.
func (d *Distro) AddSudoRules(user string, rules []string) error {
	if err := d.includeSudoersDir(); err != nil {
		return err
	}
	lines := "\n# User rules for " + user + "\n"
	for _, rule := range rules {
		if strings.ContainsAny(rule, "\n\r\x00") {
			return fmt.Errorf("sudo rule of %s has a line break", user)
		}
		lines += user + " " + rule + "\n"
	}
	data, err := d.Root.ReadFile(sudoRules)
	if err != nil {
		data = []byte(d.header("Created") + "\n")
	}
	if strings.Contains(string(data), lines) {
		return nil
	}
	if err := d.Root.WriteFile(sudoRules, append(data, lines...), 0o440); err != nil {
		return fmt.Errorf("write %s: %w", sudoRules, err)
	}
	return nil
}

// includeSudoersDir sees to it that /etc/sudoers reads the directory.
func (d *Distro) includeSudoersDir() error {
	data, err := d.Root.ReadFile(sudoersFile)
	included := false
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) == 2 && (f[0] == "@includedir" || f[0] == "#includedir") && path.Clean(f[1]) == sudoersDir {
			included = true
		}
	}
	if !included {
		text := string(data)
		if err != nil {
			text = "# See sudoers(5) for more information on \"#include\" directives:\n"
		}
		text += "\n" + d.header("added") + "\n#includedir " + sudoersDir + "\n"
		if err := d.Root.WriteFile(sudoersFile, []byte(text), 0o440); err != nil {
			return fmt.Errorf("write %s: %w", sudoersFile, err)
		}
	}
	if err := d.Root.MkdirAll(sudoersDir, 0o750); err != nil {
		return fmt.Errorf("make %s: %w", sudoersDir, err)
	}
	return d.Root.Chmod(sudoersDir, 0o750)
}
