package datasource

import (
	"bytes"
	"strings"
)

// dmi reads a DMI value from sysfs; "" if there is none. Values that firmware
// never set are all ones. cloud-init 22.4: dmi.py.
//
// cloud-init takes no DMI value in a container, where it is usually the
// host's; an instance of ours that is a container is given its own.
func dmi(root Files, name string) string {
	if root == nil {
		return ""
	}
	b, err := root.ReadFile("/sys/class/dmi/id/" + name)
	if err != nil || len(bytes.Trim(b, "\xff\n")) == 0 {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// initEnv is a variable of the first process, which tells in LXD containers.
func initEnv(root Files, name string) string {
	if root == nil {
		return ""
	}
	b, err := root.ReadFile("/proc/1/environ")
	if err != nil {
		return ""
	}
	for v := range strings.SplitSeq(string(b), "\x00") {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}
