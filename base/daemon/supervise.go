package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// A worker that keeps dying is started this often at most.
const (
	firstRestart = 100 * time.Millisecond
	lastRestart  = 10 * time.Second
)

// Supervise keeps one worker behind the control socket path (mode 0600, own
// user) until ctx ends, and then stops it. A worker that an earlier process
// left running is taken over as it is. One that dies is started anew, empty;
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
	l, err := ListenUnix(s.path, 0o600, -1, -1)
	if errors.Is(err, ErrInUse) {
		return s.adopt(ctx)
	}
	if err != nil {
		return err
	}
	control, err := l.File()
	l.Close()
	if err != nil {
		return fmt.Errorf("control socket %s: %w", s.path, err)
	}
	defer control.Close()
	c := s.command
	c.Files = []*os.File{control}
	s.changed() // connections wait in the backlog until the worker accepts
	if err := Spawn(ctx, c); err != nil {
		s.log.Warn("worker ended", "socket", s.path, "error", err)
	}
	return nil
}

func (s *supervisor) adopt(ctx context.Context) error {
	h := NewHandover(s.path)
	defer h.Close()
	s.log.Info("worker found running", "socket", s.path)
	s.changed()
	err := h.Lost(ctx)
	if ctx.Err() == nil {
		s.log.Warn("worker ended", "socket", s.path, "error", err)
		return nil
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(s.command.Grace, time.Second))
	defer cancel()
	if err := h.Stop(last); err != nil {
		s.log.Warn("worker not stopped", "socket", s.path, "error", err)
	}
	return nil
}
