package stage

import (
	"context"
	"fmt"

	"imprint/guest/clouddir"
	"imprint/guest/datasource"
)

// Apply provisions a system that does not run: everything that writes files is
// done, and marked as done; what only a boot can do is left to the first one and
// named in Queued. It returns the errors of what was done.
func (b *Boot) Apply(ctx context.Context) []string {
	b.Offline, b.phase = true, phase{name: "apply"}
	var o outcome
	o.add(b.Dir.Prepare())
	b.guard(&o, "apply", func() {
		inst, _ := b.ask(ctx, nil, nil)
		if inst == nil {
			o.add(errNotFound)
			return
		}
		b.prepare(ctx, &o, inst)
	})
	o.add(b.Root.RemoveAll(clouddir.RunDir)) // it is of one boot
	return o.texts()
}

// prepare applies an instance's data.
func (b *Boot) prepare(ctx context.Context, o *outcome, inst *datasource.Instance) {
	b.inject(inst)
	o.add(b.become(inst, b.Dir.PreviousID() != inst.InstanceID))
	for _, p := range inst.Problems {
		b.ignore(inst.Class+".py", "metadata: "+printable(p))
	}
	o.add(b.takeData(ctx, inst))
	config := b.config()
	if err := b.stop(config); err != nil {
		o.add(err)
		return
	}
	if len(inst.NetworkData) > 0 || len(inst.Interfaces) > 0 {
		b.Queued = append(b.Queued, "network configuration")
	}
	env := b.env(cloudOf(inst), config)
	b.runList(ctx, o, b.section(config, initSection, b.Init), env)
	b.runList(ctx, o, b.section(config, configSection, b.Config), env)
	b.runList(ctx, o, b.section(config, finalSection, b.Final), env)
	for _, text := range b.ignored {
		o.add(fmt.Errorf("ignored: %s", text))
	}
}
