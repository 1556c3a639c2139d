package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const noBootTimes = "Your Linux distro or container does not support this functionality.\n" +
	"You must be running a Kernel Telemetry supported distro.\nPlease check " +
	"https://cloudinit.readthedocs.io/en/latest/topics/analyze.html for more information on supported distros.\n"

// bootTimes prints when the kernel and the first stage started, as systemd
// knows it. cloud-init: analyze/show.py gather_timestamps_using_systemd.
func (p *program) bootTimes(events []logEvent) (string, int) {
	var first *logEvent
	for i, e := range events {
		if e.Name == "init-local" && strings.Contains(e.Description, "starting search") {
			first = &events[i]
		}
	}
	kernel, unit, err := systemdTimes()
	if err != nil {
		return err.Error() + "\n" + noBootTimes, exitFailed
	}
	if first == nil {
		return noBootTimes, exitFailed
	}
	started := pythonTime(time.UnixMicro(int64(first.Timestamp * 1e6)))
	now := time.Now()
	boot := now.Add(-uptime())
	if _, err := os.Stat("/run/systemd/container"); err == nil {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err == nil {
			boot = now.Add(-time.Duration(ts.Nano()))
		}
		return fmt.Sprintf("-- Most Recent Container Boot Record --\n    Container started at: %s\n    Cloud-init activated by systemd at: %s\n    Cloud-init start: %s\n",
			pythonTime(boot.Add(kernel)), pythonTime(boot.Add(unit)), started), exitOK
	}
	return fmt.Sprintf("-- Most Recent Boot Record --\n    Kernel Started at: %s\n    Kernel ended boot at: %s\n    Kernel time to boot (seconds): %v\n"+
		"    Cloud-init activated by systemd at: %s\n    Time between Kernel end boot and Cloud-init activation (seconds): %v\n    Cloud-init start: %s\n",
		pythonTime(boot), pythonTime(boot.Add(kernel)), kernel.Seconds(), pythonTime(boot.Add(unit)), (unit - kernel).Seconds(), started), exitOK
}

// systemdTimes are, since the kernel started, the time at which it had booted
// and that of the first stage's unit.
func systemdTimes() (kernel, unit time.Duration, err error) {
	if kernel, err = systemdTime("UserspaceTimestampMonotonic"); err != nil {
		return 0, 0, err
	}
	unit, err = systemdTime("InactiveExitTimestampMonotonic", "cloud-init-local")
	return kernel, unit, err
}

func systemdTime(property string, unit ...string) (time.Duration, error) {
	out, err := exec.Command("systemctl", append(append([]string{"show"}, unit...), "-p", property)...).Output()
	if err != nil {
		return 0, err
	}
	_, value, ok := strings.Cut(strings.TrimSpace(string(out)), "=")
	if !ok {
		return 0, errors.New("list index out of range")
	}
	micro, err := strconv.ParseInt(value, 10, 64)
	return time.Duration(micro) * time.Microsecond, err
}

func pythonTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000000") }
