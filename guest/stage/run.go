package stage

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"

	"imprint/base/cloudconfig"
	"imprint/guest/clouddir"
	"imprint/guest/module"
)

// runList runs the modules of one stage in order. A module that fails does
// not keep the others from running; the errors name their modules.
func (b *Boot) runList(ctx context.Context, phase string, list []module.Module, env *module.Env) []string {
	var skipped, errs []string
	ran := 0
	for _, m := range list {
		if ctx.Err() != nil {
			errs = append(errs, "interrupted before "+m.Name)
			break
		}
		if !m.Applies(env.Config) {
			skipped = append(skipped, m.Name)
			continue
		}
		ran++
		if err := b.runModule(ctx, phase, m, env); err != nil {
			errs = append(errs, fmt.Sprintf("%s: %s", m.Name, err))
		}
	}
	if len(skipped) > 0 {
		b.Log.Info("Skipping modules '"+strings.Join(skipped, ",")+"' because no applicable config is provided.",
			clouddir.Component, "modules.py")
	}
	b.Log.Debug(fmt.Sprintf("Ran %d modules with %d failures", ran, len(errs)))
	return errs
}

// runModule runs one module at its frequency. The log lines are those that
// `cloud-init analyze` reads.
func (b *Boot) runModule(ctx context.Context, phase string, m module.Module, env *module.Env) error {
	name := "config-" + m.Name
	step := b.begin(phase, name, "running "+name+" with frequency "+string(m.Frequency))
	if b.Dir.HasRun(name, m.Frequency) {
		b.Log.Debug(fmt.Sprintf("%s already ran (freq=%s)", name, m.Frequency), clouddir.Component, "helpers.py")
		step.end(true, name+" previously ran")
		return nil
	}
	if m.AtMostOnce {
		if err := b.Dir.Mark(name, m.Frequency); err != nil {
			step.end(false, name+" failed")
			return err
		}
	}
	own := *env
	own.Log = env.Log.With(clouddir.Component, "cc_"+strings.ReplaceAll(m.Name, "-", "_")+".py")
	err := guard(ctx, m, &own)
	if ctx.Err() != nil {
		step.end(false, name+" interrupted")
		return ctx.Err()
	}
	if !m.AtMostOnce {
		if merr := b.Dir.Mark(name, m.Frequency); err == nil {
			err = merr
		}
	}
	if err != nil {
		b.Log.Warn("Running module "+m.Name+" failed: "+err.Error(), clouddir.Component, "util.py")
		step.end(false, name+" failed")
		return err
	}
	step.end(true, name+" ran successfully")
	return nil
}

// guard keeps a module that panics from ending the boot.
func guard(ctx context.Context, m module.Module, env *module.Env) (err error) {
	defer func() {
		if r := recover(); r != nil {
			env.Log.Error(fmt.Sprintf("module %s panicked: %v", m.Name, r), "stack", string(debug.Stack()))
			err = fmt.Errorf("internal error: %v", r)
		}
	}()
	return m.Run(ctx, env)
}

// step is a piece of work between its start and finish lines in the log.
type step struct {
	b          *Boot
	name, text string
}

func (b *Boot) begin(phase, name, text string) step {
	s := step{b, phase + "/" + name, text}
	b.Log.Debug("start: "+s.name+": "+text, clouddir.Component, "handlers.py")
	return s
}

func (s step) end(ok bool, message string) {
	word := "SUCCESS"
	if !ok {
		word = "FAIL"
	}
	s.b.Log.Debug("finish: "+s.name+": "+word+": "+message, clouddir.Component, "handlers.py")
}

// env is what the modules work with.
func (b *Boot) env(cloud module.Cloud, config *cloudconfig.Node) *module.Env {
	return &module.Env{
		Config:      config.Without("system_info"),
		DefaultUser: config.Get("system_info", "default_user"),
		Cloud:       cloud,
		Dir:         b.Dir,
		Distro:      b.Distro,
		Output:      b.Output,
		Console:     b.Console,
		Log:         b.Log,
		Version:     b.Version,
		Now:         b.Now,
		Uptime:      b.Uptime,
	}
}
