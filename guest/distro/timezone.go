package distro

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
)

const zoneDir = "/usr/share/zoneinfo"

// SetTimezone makes zone, such as Asia/Shanghai, the local time zone:
// /etc/timezone, and /etc/localtime as a link; if that is a file now, the
// zone's data is copied into it. cloud-init: distros/__init__.py
// set_etc_timezone.
func (d *Distro) SetTimezone(zone string) error {
	file := path.Join(zoneDir, zone)
	info, err := d.Root.Stat(file)
	if err != nil || !info.Mode().IsRegular() || !strings.HasPrefix(file, zoneDir+"/") {
		//lint:ignore ST1005 cloud-init's words
		return fmt.Errorf("Invalid timezone %s, no file found at %s", zone, file)
	}
	if err := d.Root.WriteFile("/etc/timezone", []byte(zone+"\n"), 0o644); err != nil {
		return fmt.Errorf("write /etc/timezone: %w", err)
	}
	const local = "/etc/localtime"
	now, err := d.Root.Lstat(local)
	if err != nil || now.Mode()&fs.ModeSymlink != 0 {
		return d.Root.Symlink(file, local)
	}
	data, err := d.Root.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	return d.Root.WriteFile(local, data, 0o644)
}
