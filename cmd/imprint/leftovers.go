package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"imprint/base/netns"
	"imprint/host/config"
)

// leftovers lists what a demo could leave on the machine: its network
// namespaces, interfaces of its kind, its mounts and control groups, processes
// of this program. What others do meanwhile does not count.
func leftovers(prefix, stateDir string) ([]string, error) {
	var found []string
	for _, pattern := range []string{
		netns.Dir + "/" + prefix + "imprint-fabric", netns.Dir + "/" + prefix + "qrouter-*", netns.Dir + "/" + prefix + "qdhcp-*",
		"/sys/class/net/tap*", "/sys/class/net/brq*", "/sys/class/net/qr-*", "/sys/class/net/ns-*",
		"/sys/fs/cgroup/" + cgroupName(prefix), "/sys/fs/cgroup/*/" + cgroupName(prefix),
		"/run/" + prefix + "imprint-*.sock",
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
		if f := strings.Fields(line); len(f) > 4 && (strings.HasPrefix(f[4], stateDir) || strings.HasPrefix(f[4], netns.Dir+"/"+prefix+"q")) {
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
	after, err := leftovers(conf.Network.Prefix, o.stateDir)
	left := slices.DeleteFunc(after, func(s string) bool { return slices.Contains(before, s) })
	r.check("no process, namespace, mount or interface is left behind", err == nil && len(left) == 0, seen(strings.Join(left, ", "), err))
}
