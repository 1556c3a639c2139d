package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"imprint/base/rootfs"
	"imprint/guest/clouddir"
)

// idle is how long no stage may run before nobody waits for the next.
const idle = 5 * time.Minute

// watch finds out whether a boot can still go on.
type watch struct {
	root  *rootfs.Root
	begun time.Time
	asked time.Time
}

func newWatch(root *rootfs.Root) *watch { return &watch{root: root, begun: time.Now()} }

// stuck says why no stage will run any more, "" if one may.
func (w *watch) stuck(ctx context.Context, r clouddir.Report) string {
	if time.Since(w.asked) < time.Second {
		return ""
	}
	w.asked = time.Now()
	if w.root.Dir() != "/" {
		return "the system does not run"
	}
	if why := failedUnit(ctx); why != "" {
		return why
	}
	last := w.begun
	if r.LastUpdate.After(last) {
		last = r.LastUpdate
	}
	if time.Since(last) > idle && !stageRuns() {
		return "no stage has run for " + idle.String()
	}
	return ""
}

// failedUnit asks systemd, if there is one, whether a stage's unit failed.
func failedUnit(ctx context.Context) string {
	for _, unit := range []string{"cloud-init-local", "cloud-init", "cloud-config", "cloud-final"} {
		out, err := exec.CommandContext(ctx, "systemctl", "is-failed", unit+".service").Output()
		if err == nil && strings.TrimSpace(string(out)) == "failed" {
			return unit + ".service failed"
		}
	}
	return ""
}

// stageRuns looks for a process that is a stage: of this program or of another
// one called cloud-init.
func stageRuns() bool {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	return slices.ContainsFunc(files, func(name string) bool {
		data, err := os.ReadFile(name)
		words := bytes.Split(data, []byte{0})
		if err != nil || len(words) < 2 {
			return false
		}
		base := filepath.Base(string(words[0]))
		return (base == "cloud-init" || base == "imprint-guest") &&
			slices.Contains([]string{"init", "modules", "--all-stages"}, string(words[1]))
	})
}
