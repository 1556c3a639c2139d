// Package daemon is what every long-running process shares: a task group,
// signals, readiness, logging set-up, unix listeners that know their peer, and
// sockets handed from a privileged owner to an unprivileged worker.
//
// An owner (root) opens sockets where only it may, and hands them to a worker
// that parses tenants' bytes as a user of its own. The worker keeps what it
// holds when its owner dies; the next owner lists it and takes over.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// ErrStop is returned by a task to end its whole group without an error, for
// instance when a worker's owner asked it to stop.
var ErrStop = errors.New("stop requested")

// Task is one long-running part of a process. Run returns nil, or ctx's
// error, soon after ctx ends. A task that returns nil earlier has done its
// work and the others go on.
type Task struct {
	Name string // unique in its group; used in errors and logs
	Run  func(ctx context.Context) error
}

type taskResult struct {
	name string
	err  error
}

// Run runs the tasks, each in a goroutine of its own, until all have ended.
// The first error, or ctx's end, cancels the rest, which then have grace to
// return; those that do not are named in the returned error and left behind,
// so the caller must exit. It returns nil when ctx ended the group, and else
// the first real error, wrapped with its task's name. A nil log discards.
func Run(ctx context.Context, log *slog.Logger, grace time.Duration, tasks ...Task) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan taskResult, len(tasks))
	running := make(map[string]bool, len(tasks))
	for _, t := range tasks {
		running[t.Name] = true
		go func() { results <- taskResult{t.Name, t.Run(ctx)} }()
	}
	g := group{log: orDiscard(log), running: running, results: results, cancel: cancel}
	g.untilCancelled(ctx)
	return g.drain(grace)
}

type group struct {
	log     *slog.Logger
	running map[string]bool
	results chan taskResult
	cancel  context.CancelFunc
	first   error
}

// untilCancelled collects results until ctx ends or nothing runs any more.
func (g *group) untilCancelled(ctx context.Context) {
	for len(g.running) > 0 {
		select {
		case r := <-g.results:
			g.ended(r, ctx.Err() != nil)
		case <-ctx.Done():
			return
		}
	}
}

func (g *group) drain(grace time.Duration) error {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	for len(g.running) > 0 {
		select {
		case r := <-g.results:
			g.ended(r, true)
		case <-timer.C:
			return errors.Join(g.first, fmt.Errorf("tasks %v did not end within %v", names(g.running), grace))
		}
	}
	return g.first
}

func (g *group) ended(r taskResult, cancelled bool) {
	delete(g.running, r.name)
	g.log.Debug("task ended", "task", r.name, "error", r.err)
	switch {
	case r.err == nil:
		return
	case cancelled && errors.Is(r.err, context.Canceled):
		return
	}
	g.cancel()
	if g.first == nil && !errors.Is(r.err, ErrStop) {
		g.first = fmt.Errorf("%s: %w", r.name, r.err)
	}
}
