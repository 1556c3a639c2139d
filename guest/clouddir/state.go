package clouddir

import (
	"path"
	"strings"
	"time"
)

// State is the answer of `cloud-init status` in one word.
type State string

// The states, worded as cloud-init's UXAppStatus.
const (
	NotRun   State = "not run"
	Running  State = "running"
	Done     State = "done"
	Failed   State = "error"
	Disabled State = "disabled"
)

// Switch is whether the agent is to run at this boot, and who said so.
type Switch struct {
	Code   string
	Reason string
	Off    bool
}

// Report is everything `cloud-init status` shows.
type Report struct {
	State      State
	Switch     Switch
	Datasource string
	Detail     string
	Errors     []string
	// Warnings are those of the stages, which an administrator should know of;
	// Recoverable are the same by their level.
	Warnings    []string
	Recoverable map[string][]string
	LastUpdate  time.Time
}

// Degraded tells that something was ignored or went wrong that did not stop
// a stage. cloud-init knows it since 23.4 (cmd/status.py ConditionStatus).
func (r Report) Degraded() bool { return len(r.Warnings) > 0 }

// Switch finds out whether the agent is enabled. cmdline is the kernel's
// command line, environment the variable KERNEL_CMDLINE that may stand for it.
// cloud-init: cmd/status.py get_bootstatus; the variable since 23.2.
func (d *Dir) Switch(cmdline, environment string) Switch {
	words := " " + strings.Join(strings.Fields(cmdline), " ") + " "
	has := func(name string) bool { _, err := d.root.Lstat(name); return err == nil }
	const marker = "/etc/cloud/cloud-init.disabled"
	switch {
	case !has("/run/systemd/system"):
		return Switch{Code: "enabled-by-sysvinit", Reason: "Cloud-init enabled on sysvinit"}
	case strings.Contains(words, " cloud-init=enabled "):
		return Switch{Code: "enabled-by-kernel-cmdline", Reason: "Cloud-init enabled by kernel command line cloud-init=enabled"}
	case strings.Contains(" "+environment+" ", " cloud-init=disabled "):
		return Switch{Code: "disabled-by-environment-variable",
			Reason: "Cloud-init disabled by environment variable KERNEL_CMDLINE=cloud-init=disabled", Off: true}
	case has(marker):
		return Switch{Code: "disabled-by-marker-file", Reason: "Cloud-init disabled by " + marker, Off: true}
	case strings.Contains(words, " cloud-init=disabled "):
		return Switch{Code: "disabled-by-kernel-cmdline", Reason: "Cloud-init disabled by kernel parameter cloud-init=disabled", Off: true}
	case has(path.Join(RunDir, "disabled")):
		return Switch{Code: "disabled-by-generator", Reason: "Cloud-init disabled by cloud-init-generator", Off: true}
	case has(enabledFile):
		return Switch{Code: "enabled-by-generator", Reason: "Cloud-init enabled by systemd cloud-init-generator"}
	}
	return Switch{Code: "unknown", Reason: "Systemd generator may not have run yet."}
}

// Report reads the state of this boot. cloud-init: cmd/status.py
// get_status_details.
func (d *Dir) Report(cmdline, environment string) Report {
	r := Report{State: NotRun, Switch: d.Switch(cmdline, environment), Errors: []string{}}
	r.Detail = r.Switch.Reason
	if r.Switch.Off {
		r.State = Disabled
	}
	if _, err := d.root.Stat(statusLink); err != nil {
		return r
	}
	s := d.loadStatus()
	if _, err := d.root.Stat(resultLink); err != nil {
		r.State = Running
	}
	if s.Datasource != nil {
		name, _, _ := strings.Cut(*s.Datasource, " ")
		r.Datasource = strings.ReplaceAll(strings.ToLower(name), "datasource", "")
		r.Detail = *s.Datasource
	}
	running, latest := s.progress()
	if running || s.Stage != nil {
		r.State = Running
	}
	if s.Stage != nil {
		r.Detail = "Running in stage: " + string(*s.Stage)
	}
	if latest > 0 {
		r.LastUpdate = time.UnixMicro(int64(latest * 1e6)).UTC()
	}
	r.Errors, r.Warnings, r.Recoverable = s.Errors(), s.Warnings(), s.recoverable()
	switch {
	case len(r.Errors) > 0:
		r.State, r.Detail = Failed, strings.Join(r.Errors, "\n")
	case r.State == NotRun && latest > 0:
		r.State = Done
	}
	return r
}

// progress tells whether a stage began and did not finish, and the time of
// the last event.
func (s *Status) progress() (running bool, latest float64) {
	for _, r := range s.records() {
		if r.Start != nil && r.Finished == nil {
			running = true
		}
		for _, t := range []*float64{r.Start, r.Finished} {
			if t != nil {
				latest = max(latest, *t)
			}
		}
	}
	return running, latest
}
