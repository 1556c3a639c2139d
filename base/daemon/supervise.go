package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"
)

// A worker that keeps dying is started this often at most.
const (
	firstRestart = 100 * time.Millisecond
	lastRestart  = 10 * time.Second
)

// Supervise keeps one worker behind the control socket path (mode 0600, own
// user) until ctx ends, and then stops it, unless c.Keep. A worker that an earlier process
// left running is taken over, unless it is of another user, program or command
// line: then it is replaced, and hands its sockets to its successor if its
// handler is a [Giver]. One that dies is started anew, empty;
// changed, unless nil, is called with every worker that is there to be filled.
// c.Files must be empty: the worker gets the control listener. A worker taken
// over that does not stop within c.Grace (a second at least) is left, and that
// is logged.
func Supervise(ctx context.Context, log *slog.Logger, path string, c Command, changed func()) error {
	s := supervisor{log: orDiscard(log), path: path, command: c, changed: changed}
	if changed == nil {
		s.changed = func() {}
	}
	pause := firstRestart
	for ctx.Err() == nil {
		began := time.Now()
		if err := s.once(ctx); err != nil {
			return err
		}
		if time.Since(began) > lastRestart {
			pause = firstRestart
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, lastRestart)
	}
	return nil
}

type supervisor struct {
	log     *slog.Logger
	path    string
	command Command
	changed func()
}

// once sees one worker from its start, or from being found, to its end. An
// error is one that starting again would not cure.
func (s *supervisor) once(ctx context.Context) error {
	control, err := listenFile(s.path)
	if errors.Is(err, ErrInUse) {
		return s.adopt(ctx)
	}
	if err != nil {
		return err
	}
	defer control.Close()
	s.changed() // connections wait in the backlog until the worker accepts
	if err := s.spawn(ctx, control); err != nil {
		s.log.Warn("worker ended", "socket", s.path, "error", err)
	}
	return nil
}

// listenFile makes the listener of a worker's control socket.
func listenFile(path string) (*os.File, error) {
	l, err := ListenUnix(path, 0o600, -1, -1)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	control, err := l.File()
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	return control, nil
}

// spawn runs a worker with its control socket until it ends.
func (s *supervisor) spawn(ctx context.Context, control *os.File) error {
	c := s.command
	c.Files = []*os.File{control}
	return Spawn(ctx, c)
}

func (s *supervisor) adopt(ctx context.Context) error {
	h := NewHandover(s.path)
	defer h.Close()
	if why := s.differs(ctx, h); why != "" {
		s.log.Info("worker found running is replaced", "socket", s.path, "reason", why)
		if s.succeed(ctx, h) {
			return nil
		}
		return s.stop(ctx, h)
	}
	s.log.Info("worker found running", "socket", s.path)
	s.changed()
	err := h.Lost(ctx)
	if ctx.Err() == nil {
		s.log.Warn("worker ended", "socket", s.path, "error", err)
		return nil
	}
	if s.command.keep() {
		return nil
	}
	return s.stop(ctx, h)
}

func (s *supervisor) stop(ctx context.Context, h *Handover) error {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(s.command.Grace, time.Second))
	defer cancel()
	if err := h.Stop(last); err != nil {
		s.log.Warn("worker not stopped", "socket", s.path, "error", err)
	}
	return nil
}

// differs says in what a worker that was found is not what would be started
// now, "" for nothing or when that cannot be told.
func (s *supervisor) differs(ctx context.Context, h *Handover) string {
	pid, err := h.PID(ctx)
	if err != nil {
		return ""
	}
	proc := fmt.Sprintf("/proc/%d/", pid)
	status, err := os.ReadFile(proc + "status")
	if err == nil && !strings.Contains(string(status), fmt.Sprintf("\nUid:\t%d\t", s.command.UID)) {
		return "it runs as another user"
	}
	line, err := os.ReadFile(proc + "cmdline")
	if _, args, _ := strings.Cut(strings.TrimSuffix(string(line), "\x00"), "\x00"); err == nil && args != strings.Join(s.command.Args, "\x00") {
		return "it was started with other arguments"
	}
	path := s.command.Path
	if path == "" {
		path = "/proc/self/exe"
	}
	want, wantErr := os.Stat(path)
	have, err := os.Stat(proc + "exe")
	if err == nil && wantErr == nil && !os.SameFile(want, have) {
		return "it is another version of the program"
	}
	return ""
}
