package distro

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// ServiceState is what a service manager says of a service.
type ServiceState int

// The states of a service.
const (
	// Stopped is a service that would read its configuration when started.
	Stopped ServiceState = iota
	Active
	// Missing is a service that systemd does not know.
	Missing
)

// SSHService is the name of sshd's unit on Debian.
const SSHService = "ssh"

// systemctl's exit statuses (LSB, Init Script Actions; systemctl(1)).
const (
	statusStopped = 3
	statusUnknown = 4
)

// Systemd reports whether systemd is the init (sd_booted(3)).
func (d *Distro) Systemd() bool {
	info, err := d.Root.Lstat("/run/systemd/system")
	return err == nil && info.IsDir()
}

// SSHState finds out about sshd: from systemd, or from its pid file.
func (d *Distro) SSHState(ctx context.Context) (ServiceState, error) {
	if !d.Systemd() {
		if d.sshdPID() > 0 {
			return Active, nil
		}
		return Stopped, nil
	}
	err := d.systemctl(ctx, "status", SSHService)
	var exit *ExitError
	switch {
	case err == nil:
		return Active, nil
	case errors.As(err, &exit) && exit.Code == statusStopped:
		return Stopped, nil
	case errors.As(err, &exit) && exit.Code == statusUnknown:
		return Missing, nil
	}
	return Missing, err
}

// ReloadSSH makes a running sshd read its configuration anew: systemd
// restarts it, otherwise it gets SIGHUP (sshd(8)).
func (d *Distro) ReloadSSH(ctx context.Context) error {
	if d.Systemd() {
		return d.systemctl(ctx, "restart", SSHService)
	}
	if pid := d.sshdPID(); pid > 0 {
		return syscall.Kill(pid, syscall.SIGHUP)
	}
	return nil
}

func (d *Distro) systemctl(ctx context.Context, args ...string) error {
	return d.Runner(ctx, Command{Args: append([]string{"systemctl"}, args...)})
}

// sshdPID is the process of sshd's pid file, if it still is sshd; else 0. Only
// the running system has processes.
func (d *Distro) sshdPID() int {
	if !d.Running() {
		return 0
	}
	data, err := d.Root.ReadFile("/run/sshd.pid")
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 1 {
		return 0
	}
	name, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	if err != nil || strings.TrimSpace(string(name)) != "sshd" {
		return 0
	}
	return pid
}
