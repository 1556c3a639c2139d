package container

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Process names a process for good: a number alone may have come to mean
// another one. The zero value names none.
type Process struct {
	PID int `json:"pid"`
	// Start is the process's start time in clock ticks since the machine booted.
	Start uint64 `json:"start"`
	// Boot is the random id of that boot.
	Boot string `json:"boot"`
}

// identify returns the identity of the running process pid.
func identify(pid int) (Process, error) {
	start, err := startTime(pid)
	if err != nil {
		return Process{}, err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Process{}, fmt.Errorf("read boot id: %w", err)
	}
	return Process{PID: pid, Start: start, Boot: strings.TrimSpace(string(boot))}, nil
}

// startTime reads field 22 of /proc/PID/stat. proc(5)
func startTime(pid int) (uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read process %d: %w", pid, err)
	}
	// The name, field 2, is in parentheses and may hold anything.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return 0, fmt.Errorf("read process %d: short stat", pid)
	}
	return strconv.ParseUint(string(fields[19]), 10, 64)
}

// open returns a pidfd of the process, or nil when it is gone.
func (p Process) open() (*os.File, error) {
	if p.PID <= 0 {
		return nil, nil
	}
	fd, err := unix.PidfdOpen(p.PID, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", p.PID, err)
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	// Compared after opening, so that it is true of what was opened.
	if now, err := identify(p.PID); err != nil || now != p || ready(fd, 0) {
		f.Close()
		return nil, nil
	}
	return f, nil
}

// Alive reports whether the process runs; one that has ended and waits for its
// parent does not.
func (p Process) Alive() bool {
	f, err := p.open()
	if f != nil {
		f.Close()
	}
	return err != nil || f != nil
}

// signal sends sig to the process if it still runs.
func (p Process) signal(sig unix.Signal) error {
	f, err := p.open()
	if f == nil {
		return err
	}
	defer f.Close()
	err = unix.PidfdSendSignal(int(f.Fd()), sig, nil, 0)
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal process %d: %w", p.PID, err)
	}
	return nil
}

// kill kills the process and returns when it has ended.
func (p Process) kill() error {
	f, err := p.open()
	if f == nil {
		return err
	}
	defer f.Close()
	if err := unix.PidfdSendSignal(int(f.Fd()), unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", p.PID, err)
	}
	ready(int(f.Fd()), -1)
	return nil
}
