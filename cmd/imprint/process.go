package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"imprint/base/daemon"
	"imprint/host/api"
	"imprint/host/config"
)

// processFlags are the flags of every command that stays.
type processFlags struct {
	stateDir, configFile, logFormat string
}

func (f *processFlags) add(c *cobra.Command, stateDir string) {
	c.Flags().StringVar(&f.stateDir, "state-dir", stateDir, "directory with everything that it keeps")
	c.Flags().StringVar(&f.configFile, "config", "", "configuration file (default: built-in defaults, see 'imprint config')")
	c.Flags().StringVar(&f.logFormat, "log-format", "", "text or json; over the configuration file")
}

// load reads the configuration as the flags want it.
func (f processFlags) load() (config.Config, error) {
	c, err := config.Load(f.configFile)
	if err != nil {
		return c, err
	}
	switch f.logFormat {
	case "":
	case "text", "json":
		c.Log.Format = f.logFormat
	default:
		return c, &usageError{fmt.Errorf("--log-format: %q is not text or json", f.logFormat)}
	}
	return c, nil
}

// setup is a command that stays: one process of an Imprint.
type setup struct {
	command string // "imprint up"
	// agent is the name of an agent that shares its state directory with the
	// node's other agents, "" for who has the directory alone.
	agent string
	flags processFlags
	// stays leaves what the process made in the kernel when it is told to end
	// by a signal, for the next one to take over; 'imprint down' removes it.
	stays bool
	// prepare finds out whether the machine can do what is asked, before
	// anything is changed on it, and opens the listeners.
	prepare func(*process) error
	// build makes the parts of the process; nothing runs yet.
	build func(context.Context, *process) error
}

// process is what every command that stays has. Its fields are set before
// anything runs.
type process struct {
	setup
	dir   *stateDir
	log   *slog.Logger
	level *slog.LevelVar

	mu   sync.Mutex // guards conf
	conf config.Config
	down atomic.Bool // what was made is to be taken down

	tasks   []daemon.Task
	ready   []<-chan struct{} // closed when a part can do its work
	told    []any             // what is logged when all can: key, value, …
	changed []func(config.Config)
	extra   []route        // of the control socket
	closers []func() error // called in reverse order
	remove  []func() error // take down, in this order
}

// stopGrace is how long everything may take to end.
const stopGrace = 45 * time.Second

// run runs the process until it is told to end.
func (s setup) run(ctx context.Context) error {
	conf, err := s.flags.load()
	if err != nil {
		return err
	}
	ctx, hup, stop := daemon.Signals(ctx)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dir, err := openStateDir(s.flags.stateDir, s.agent)
	if err != nil {
		return err
	}
	p := &process{setup: s, dir: dir, conf: conf, level: new(slog.LevelVar)}
	p.level.Set(logOf(conf).slogLevel())
	p.log = daemon.NewLogger(os.Stderr, p.level, conf.Log.Format == "json")
	p.down.Store(!s.stays)
	defer p.close()
	if err := s.prepare(p); err != nil {
		dir.undo()
		return err
	}
	if err := s.build(ctx, p); err != nil {
		if ctx.Err() != nil {
			return nil // told to end before it was up
		}
		return err
	}
	if err := writeWhole(p.leftNote(), fmt.Appendf(nil, "%s has ended without taking down what it made: start it again, then 'imprint down'\n", s.command), 0o600); err != nil {
		return err
	}
	if err := p.addControl(cancel, hup); err != nil {
		return err
	}
	err = daemon.Run(ctx, p.log, stopGrace, p.tasks...)
	return joinErrors(err, p.takeDown())
}

// addControl lets root, and the process's own user, give orders.
func (p *process) addControl(cancel func(), hup <-chan struct{}) error {
	l, err := daemon.ListenUnix(p.controlSocket(), 0o600, -1, -1)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	c := control{
		reload: p.reload,
		stop:   func() { p.down.Store(true); cancel() },
		more:   p.extra,
	}
	p.remove = append(p.remove, func() error { return removeFile(p.controlSocket()) })
	p.addTask("control", func(ctx context.Context) error { return api.Run(ctx, l, c.handler(), drain, p.log) })
	p.addTask("reload", func(ctx context.Context) error { return p.reloadOnSignal(ctx, hup) })
	p.addTask("ready", p.announce)
	return nil
}

func (p *process) controlSocket() string { return p.dir.file(controlName(p.agent)) }

func (p *process) addTask(name string, run func(context.Context) error) {
	p.tasks = append(p.tasks, daemon.Task{Name: name, Run: run})
}

// part returns the logger of one part.
func (p *process) part(name string) *slog.Logger { return p.log.With("part", name) }

// keep says at the end of a process whether the next one finds what this one
// made.
func (p *process) keep() bool { return !p.down.Load() }

// reload takes a changed configuration file, or leaves everything as it is.
func (p *process) reload() error {
	wanted, err := p.flags.load()
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	taken, err := config.Reload(p.conf, wanted)
	if err != nil {
		return err
	}
	p.conf = taken
	p.level.Set(logOf(taken).slogLevel())
	for _, tell := range p.changed {
		tell(taken)
	}
	p.log.Info("configuration reloaded")
	return nil
}

// reloadOnSignal answers SIGHUP; the outcome is in the log.
func (p *process) reloadOnSignal(ctx context.Context, hup <-chan struct{}) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
			if err := p.reload(); err != nil {
				p.log.Error("configuration refused, the old one stays", "err", err)
			}
		}
	}
}

// announce says that everything is started, once all parts can do their work.
func (p *process) announce(ctx context.Context) error {
	for _, part := range p.ready {
		select {
		case <-part:
		case <-ctx.Done():
			return nil
		}
	}
	p.log.Info(p.command+" is up", p.told...)
	return daemon.Notify(os.Getenv("NOTIFY_SOCKET"), "READY=1")
}

// takeDown removes what the process made outside its state directory, unless
// the next one is to find it. What could not be removed is noted for whoever
// asked for it.
func (p *process) takeDown() error {
	if p.keep() {
		return removeFile(p.controlSocket())
	}
	var errs []error
	for _, remove := range p.remove {
		errs = append(errs, remove())
	}
	err := joinErrors(errs...)
	if err == nil {
		return removeFile(p.leftNote())
	}
	err = fmt.Errorf("take down: %w", err)
	return joinErrors(err, writeWhole(p.leftNote(), []byte(err.Error()+"\n"), 0o600))
}

// leftNote says what the process has left behind. It is there from the start,
// so that a process that is killed leaves it too.
func (p *process) leftNote() string { return p.dir.file(leftName(p.agent)) }

// close lets go of what was opened.
func (p *process) close() {
	for i := len(p.closers) - 1; i >= 0; i-- {
		if err := p.closers[i](); err != nil && !errors.Is(err, os.ErrClosed) {
			p.log.Error("close", "err", err)
		}
	}
}
