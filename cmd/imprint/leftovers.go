package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"imprint/host/config"
)

// leftovers lists what a demo could leave on the machine: named network
// namespaces, interfaces, mounts, control groups, processes of this program.
func leftovers(prefix string) ([]string, error) {
	var found []string
	for _, pattern := range []string{
		"/run/netns/*", "/sys/class/net/*",
		"/sys/fs/cgroup/" + cgroupName(prefix), "/sys/fs/cgroup/*/" + cgroupName(prefix),
	} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", pattern, err)
		}
		found = append(found, names...)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 4 {
			found = append(found, "mount "+f[4])
		}
	}
	return append(found, processes()...), nil
}

// cgroupName is the control group above those of the instances.
func cgroupName(prefix string) string { return prefix + "imprint" }

// processes lists the processes that run this very program, but for the
// caller itself.
func processes() []string {
	self, err := os.Stat("/proc/self/exe")
	if err != nil {
		return nil
	}
	var found []string
	exes, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, exe := range exes {
		pid := filepath.Base(filepath.Dir(exe))
		other, err := os.Stat(exe)
		if err != nil || !os.SameFile(self, other) || pid == fmt.Sprint(os.Getpid()) {
			continue
		}
		found = append(found, "process "+pid)
	}
	return found
}

// checkClean removes the state directory and compares the machine with what it
// was before.
func checkClean(r *report, conf config.Config, o demoOptions, before []string) {
	err := os.RemoveAll(o.stateDir)
	r.check("the state directory is removed", err == nil, seen(o.stateDir, err))
	after, err := leftovers(conf.Network.Prefix)
	left := slices.DeleteFunc(after, func(s string) bool { return slices.Contains(before, s) })
	r.check("no process, namespace, mount or interface is left behind", err == nil && len(left) == 0, seen(strings.Join(left, ", "), err))
}
