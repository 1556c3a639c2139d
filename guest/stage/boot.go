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
	"strings"
	"time"

	"imprint/base/cloudconfig"
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
	// Disks are the volumes; nil means those of Root's /dev.
	Disks   datasource.Disks
	Network Network
	// MetadataURL is where the metadata address is; empty means the usual one.
	MetadataURL string

	// Init, Config and Final are the modules of the stages, where the
	// configuration does not list others. Absent are names of modules that
	// cloud-init has and this agent has not.
	Init, Config, Final []module.Module
	Absent              []string
	// Configs is the configuration; nil means that of Root.
	Configs *Configs
	// Offline says that the system does not run: what only a boot can do is
	// left to the first one, and named in Queued.
	Offline bool
	Queued  []string

	// Redirect sends standard output and error elsewhere, as the
	// configuration wants it; nil does not.
	Redirect func(out, err string) error
	// Render renders a Jinja template; nil cannot.
	Render Render
	// Patch applies a #cloud-config-jsonp part to what was merged before it;
	// nil cannot.
	Patch Patch

	// Journal gets the log's lines and keeps the warnings; Log writes to it.
	Journal *clouddir.Log
	Log     *slog.Logger
	// Output and Errors get what programs print, Console what a person must
	// see. Errors nil means Output.
	Output, Errors, Console io.Writer

	Version string
	Now     func() time.Time
	Uptime  func() time.Duration

	phase   phase
	reports *reports
	// ignored is what was wrong with user data, vendor data or metadata.
	ignored []string
	outputs [2]string // where output was redirected to
}

// Render renders a Jinja template with these variables.
type Render func(template string, data map[string]any) (string, error)

// Patch applies a list of JSON patches, below the line with its type, to a
// configuration, which may be nil and does not change.
type Patch func(config *cloudconfig.Node, part []byte) (*cloudconfig.Node, error)

// perform runs one stage between its records in status.json and returns its
// errors. name is that of its events.
func (b *Boot) perform(ctx context.Context, stage clouddir.Stage, name string, work func(*outcome)) []string {
	b.phase = phase{name: name}
	var o outcome
	o.add(b.Dir.Begin(stage))
	b.reportTo(ctx, b.config())
	if err := b.stopped(); err != nil && stage != clouddir.StageLocal {
		o.add(err)
	} else {
		b.guard(&o, stage, func() { work(&o) })
	}
	for _, f := range o.failures {
		if f.module == "" { // a module's is in the log
			b.Log.Warn(f.err.Error(), clouddir.Component, "main.py")
		}
	}
	err := b.Dir.Finish(stage, clouddir.Outcome{Datasource: o.source, Errors: o.texts(), Warnings: o.warnings(b.Journal)})
	if err != nil {
		b.Log.Error(err.Error())
		o.add(err)
	}
	b.tell(ctx, b.Now(), Event{Name: name, Description: descriptions(name), Type: EventFinish,
		Result: resultOf(len(o.failures) == 0 && !b.phase.failed)})
	b.reports.flush()
	b.reports = nil
	return o.texts()
}

// descriptions are those of the stages' events.
func descriptions(name string) string {
	switch name {
	case "init-local":
		return "searching for local datasources"
	case "init-network":
		return "searching for network datasources"
	}
	return "running modules for " + strings.TrimPrefix(name, "modules-")
}

// guard keeps a panic from ending the stage without a record.
func (b *Boot) guard(o *outcome, stage clouddir.Stage, work func()) {
	defer func() {
		if r := recover(); r != nil {
			b.Log.Error(fmt.Sprintf("failed stage %s: %v", stage, r), "stack", string(debug.Stack()))
			o.add(fmt.Errorf("internal error: %v", r))
		}
	}()
	work()
}

// welcome sends what follows where the configuration wants it, and writes the
// line that begins a stage, which tools look for.
func (b *Boot) welcome(config *cloudconfig.Node, mode, name string) {
	line := fmt.Sprintf("Cloud-init v. %s running '%s' at %s. Up %.2f seconds.",
		b.Version, name, b.Now().UTC().Format(rfc2822), b.Uptime().Seconds())
	b.redirect(config, mode)
	b.Log.Debug(line, clouddir.Component, "util.py")
	_, _ = io.WriteString(b.Output, line+"\n") // nothing is lost: it is in the log
}

// rfc2822 is the form of times in messages. cloud-init: util.py time_rfc2822.
const rfc2822 = "Mon, 02 Jan 2006 15:04:05 -0700"

// RunModules runs the modules of a section: init, config or final.
func (b *Boot) RunModules(ctx context.Context, mode string) []string {
	stage, key, builtin := clouddir.StageModulesInit, initSection, b.Init
	switch mode {
	case "config":
		stage, key, builtin = clouddir.StageConfig, configSection, b.Config
	case "final":
		stage, key, builtin = clouddir.StageFinal, finalSection, b.Final
	}
	return b.perform(ctx, stage, "modules-"+mode, func(o *outcome) {
		config := b.config()
		b.welcome(config, mode, "modules:"+mode)
		inst, err := b.cached()
		if err != nil {
			o.add(fmt.Errorf("Can not apply stage %s, no datasource found! Likely bad things to come!", mode)) //lint:ignore ST1005 cloud-init's words
			return
		}
		b.runList(ctx, o, b.section(config, key, builtin), b.env(cloudOf(inst), config))
	})
}

// RunConfig runs the config stage and returns its errors.
func (b *Boot) RunConfig(ctx context.Context) []string { return b.RunModules(ctx, "config") }

// RunFinal runs the final stage and returns its errors.
func (b *Boot) RunFinal(ctx context.Context) []string { return b.RunModules(ctx, "final") }

// ErrUnknownModule is returned by RunSingle for a name that no module has.
var ErrUnknownModule = errors.New("unknown module")

// RunSingle runs one module with these arguments, at its own frequency or, if
// that is not empty, at another one. With report, events are told.
func (b *Boot) RunSingle(ctx context.Context, name string, args []string, frequency clouddir.Frequency, report bool) error {
	b.phase = phase{name: "single"}
	config := b.config()
	b.reports = &reports{}
	if report {
		b.reportTo(ctx, config)
	}
	defer b.reports.flush()
	inst, err := b.cached()
	if err != nil {
		return fmt.Errorf("no instance is known: %w", err)
	}
	b.welcome(config, "", "single")
	m, ok := b.module(entry{name: name, frequency: string(frequency), args: args})
	if !ok {
		b.Log.Warn("Did not run "+printable(name)+", does it exist?", clouddir.Component, "main.py")
		return fmt.Errorf("%w %q", ErrUnknownModule, name)
	}
	if err := b.runModule(ctx, m, b.env(cloudOf(inst), config)); err != nil {
		b.Log.Warn("Ran "+name+" but it failed!", clouddir.Component, "main.py")
		return err
	}
	return nil
}
