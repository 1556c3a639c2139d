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
// not keep the others from running.
func (b *Boot) runList(ctx context.Context, o *outcome, list []module.Module, env *module.Env) {
	var skipped []string
	ran, failed := 0, 0
	for _, m := range list {
		switch {
		case ctx.Err() != nil:
			o.add(fmt.Errorf("interrupted before %s", m.Name))
			return
		case !m.Applies(env.Config):
			skipped = append(skipped, m.Name)
			continue
		case b.Offline && m.AtBoot:
			b.Queued = append(b.Queued, "module "+m.Name)
			continue
		}
		ran++
		if err := b.runModule(ctx, m, env); err != nil {
			failed++
			o.failures = append(o.failures, failure{m.Name, err})
		}
	}
	if len(skipped) > 0 {
		b.Log.Info("Skipping modules '"+strings.Join(skipped, ",")+"' because no applicable config is provided.",
			clouddir.Component, "modules.py")
	}
	b.Log.Debug(fmt.Sprintf("Ran %d modules with %d failures", ran, failed))
}

// runModule runs one module at its frequency. The log lines are those that
// `cloud-init analyze` reads.
func (b *Boot) runModule(ctx context.Context, m module.Module, env *module.Env) error {
	name := "config-" + m.Name
	step := b.begin(ctx, name, "running "+name+" with frequency "+string(m.Frequency))
	if b.Dir.HasRun(name, m.Frequency) {
		b.Log.Debug(fmt.Sprintf("%s already ran (freq=%s)", name, m.Frequency), clouddir.Component, "helpers.py")
		step.end(ctx, true, name+" previously ran")
		return nil
	}
	if m.AtMostOnce {
		if err := b.Dir.Mark(name, m.Frequency); err != nil {
			step.end(ctx, false, "")
			return err
		}
	}
	own := *env
	own.Name, own.Args = m.Name, m.Args
	own.Log = env.Log.With(clouddir.Component, "cc_"+strings.TrimPrefix(strings.ReplaceAll(m.Name, "-", "_"), "cc_")+".py")
	err := guard(ctx, m, &own)
	if ctx.Err() != nil {
		step.end(ctx, false, "")
		return ctx.Err()
	}
	if !m.AtMostOnce {
		if merr := b.Dir.Mark(name, m.Frequency); err == nil {
			err = merr
		}
	}
	if err != nil {
		b.Log.Warn("Running module "+m.Name+" failed: "+err.Error(), clouddir.Component, "util.py")
		step.end(ctx, false, "")
		return err
	}
	step.end(ctx, true, name+" ran successfully")
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

// env is what the modules work with.
func (b *Boot) env(cloud module.Cloud, config *cloudconfig.Node) *module.Env {
	return &module.Env{
		Config:      config.Without("system_info"),
		DefaultUser: config.Get("system_info", "default_user"),
		Cloud:       cloud,
		Dir:         b.Dir,
		Distro:      b.Distro,
		Output:      b.Output,
		Errors:      b.Errors,
		Console:     b.Console,
		Log:         b.Log,
		Version:     b.Version,
		Now:         b.Now,
		Uptime:      b.Uptime,
	}
}
