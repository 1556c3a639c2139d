package stage

import (
	"bytes"
	"strings"

	"imprint/base/rootfs"
)

// CommandLine is the kernel's command line or, in a container, that of its
// first process; empty for a system that does not run. cloud-init: util.py
// get_cmdline.
func CommandLine(root *rootfs.Root) string {
	name := "/proc/cmdline"
	if inContainer(root) {
		name = "/proc/1/cmdline"
	}
	data, err := root.ReadFile(name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.ReplaceAll(string(data), "\x00", " "))
}

// inContainer looks for what container managers tell: systemd's file, or the
// variable of the first process (systemd's container interface).
func inContainer(root *rootfs.Root) bool {
	if _, err := root.Stat("/run/systemd/container"); err == nil {
		return true
	}
	data, err := root.ReadFile("/proc/1/environ")
	if err != nil {
		return false
	}
	for variable := range bytes.SplitSeq(data, []byte{0}) {
		if bytes.HasPrefix(variable, []byte("container=")) {
			return true
		}
	}
	return false
}
