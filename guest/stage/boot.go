// Package stage is the order of a boot: what runs in which stage, once or always, and the record of it.
//
// A boot has four stages, each a run of its own: local (find the data,
// configure the network), network (take user data apart, run the init
// modules), config and final (run modules). What one stage knows the next
// reads from guest/clouddir. A stage never gives up half-way: what fails is
// named in the log and in status.json, and the rest goes on. Behaviour follows
// cloud-init 22.4 (cmd/main.py, stages.py, config/modules.py).
package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"imprint/base/rootfs"
	"imprint/guest/clouddir"
	"imprint/guest/datasource"
	"imprint/guest/distro"
	"imprint/guest/module"
)

// Boot is everything that the stages work with. All fields but those said to
// have defaults must be set.
type Boot struct {
	Root   *rootfs.Root
	Dir    *clouddir.Dir
	Distro *distro.Distro
	// Sources are asked in their order.
	Sources []datasource.Source
	Network Network
	// MetadataURL is where the metadata address is; empty means the usual one.
	MetadataURL string

	// Init, Config and Final are the modules of the stages.
	Init, Config, Final []module.Module

	// Journal gets the log's lines and keeps the warnings; Log writes to it.
	Journal *clouddir.Log
	Log     *slog.Logger
	// Output gets what programs print, Console what a person must see.
	Output, Console io.Writer

	Version string
	Now     func() time.Time
	Uptime  func() time.Duration
}

// outcome collects what a stage has to say.
type outcome struct {
	source string
	errs   []string
}

// add takes an error in; one that was joined of several, as several.
func (o *outcome) add(err error) {
	if err == nil {
		return
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		if list := many.Unwrap(); errors.Join(list...).Error() == err.Error() {
			for _, e := range list {
				o.add(e)
			}
			return
		}
	}
	o.errs = append(o.errs, err.Error())
}

// perform runs one stage between its records in status.json and returns its
// errors.
func (b *Boot) perform(stage clouddir.Stage, name string, work func(*outcome)) []string {
	begun := b.Dir.Begin(stage)
	b.welcome(name)
	var o outcome
	o.add(begun)
	func() {
		defer func() {
			if r := recover(); r != nil {
				b.Log.Error(fmt.Sprintf("failed stage %s: %v", stage, r), "stack", string(debug.Stack()))
				o.errs = append(o.errs, fmt.Sprintf("internal error: %v", r))
			}
		}()
		work(&o)
	}()
	err := b.Dir.Finish(stage, clouddir.Outcome{Datasource: o.source, Errors: o.errs, Warnings: unsaid(b.Journal.Kept(), o.errs)})
	if err != nil {
		b.Log.Error(err.Error())
		o.add(err)
	}
	return o.errs
}

// unsaid are the warnings that are not errors of the stage too.
func unsaid(warnings map[string][]string, errs []string) map[string][]string {
	for level, lines := range warnings {
		rest := slices.DeleteFunc(lines, func(line string) bool {
			return slices.ContainsFunc(errs, func(e string) bool {
				_, cause, _ := strings.Cut(e, ": ")
				return cause != "" && strings.HasSuffix(line, strings.ReplaceAll(cause, "\n", " "))
			})
		})
		if warnings[level] = rest; len(rest) == 0 {
			delete(warnings, level)
		}
	}
	return warnings
}

// welcome writes the line that begins a stage, which tools look for.
func (b *Boot) welcome(name string) {
	line := fmt.Sprintf("Cloud-init v. %s running '%s' at %s. Up %.2f seconds.",
		b.Version, name, b.Now().UTC().Format(time.RFC1123Z), b.Uptime().Seconds())
	b.Log.Debug(line, clouddir.Component, "util.py")
	_, _ = io.WriteString(b.Output, line+"\n") // nothing is lost: it is in the log
}

// RunConfig runs the config stage and returns its errors.
func (b *Boot) RunConfig(ctx context.Context) []string {
	return b.perform(clouddir.StageConfig, "modules:config", func(o *outcome) {
		b.runSection(ctx, o, "modules-config", b.Config)
	})
}

// RunFinal runs the final stage and returns its errors.
func (b *Boot) RunFinal(ctx context.Context) []string {
	return b.perform(clouddir.StageFinal, "modules:final", func(o *outcome) {
		b.runSection(ctx, o, "modules-final", b.Final)
	})
}

func (b *Boot) runSection(ctx context.Context, o *outcome, phase string, list []module.Module) {
	inst, err := b.cached()
	if err != nil {
		o.add(fmt.Errorf("no instance is known, the stages before this one did not run: %w", err))
		return
	}
	o.errs = append(o.errs, b.runList(ctx, phase, list, b.env(cloudOf(inst), b.config()))...)
}

// ErrUnknownModule is returned by RunSingle for a name that is in no list.
var ErrUnknownModule = errors.New("unknown module")

// RunSingle runs one module, at its own frequency or, if that is not empty,
// at another one.
func (b *Boot) RunSingle(ctx context.Context, name string, frequency clouddir.Frequency) error {
	for _, list := range [][]module.Module{b.Init, b.Config, b.Final} {
		for _, m := range list {
			if !m.Named(name) {
				continue
			}
			if frequency != "" {
				m.Frequency = frequency
			}
			inst, err := b.cached()
			if err != nil {
				return fmt.Errorf("no instance is known: %w", err)
			}
			b.welcome("single")
			return b.runModule(ctx, "single", m, b.env(cloudOf(inst), b.config()))
		}
	}
	return fmt.Errorf("%w %q", ErrUnknownModule, name)
}
