package container

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

var errHalting = errors.New("halting")

// environ is what boot commands get, as services do.
var environ = []string{
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8",
}

// start starts a program with the console as its output, in a session of its
// own, and returns its number and the way to learn of its end.
func (r *reaper) start(argv ...string) (int, <-chan unix.WaitStatus, error) {
	null, err := os.OpenFile("/dev/null", os.O_RDONLY, 0)
	if err != nil {
		return 0, nil, err
	}
	defer null.Close()
	// Held until the number is known, so that its end is not taken for a stranger's.
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, nil, errHalting
	}
	pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{
		Dir: "/", Env: environ,
		Files: []uintptr{null.Fd(), 1, 2},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, nil, fmt.Errorf("execute %s: %w", argv[0], err)
	}
	return pid, r.wait(pid), nil
}

// wait returns the way to learn of the end of pid. r.mu is held.
func (r *reaper) wait(pid int) <-chan unix.WaitStatus {
	c := make(chan unix.WaitStatus, 1)
	r.waiting[pid] = c
	return c
}

// exitStatus is a shell's $?: 128 and the signal for a process that was killed.
func exitStatus(s unix.WaitStatus) int {
	if s.Signaled() {
		return 128 + int(s.Signal())
	}
	return s.ExitStatus()
}
