package stage

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"imprint/base/cloudconfig"
	"imprint/base/userdata"
	"imprint/guest/clouddir"
	"imprint/guest/datasource"
	"imprint/guest/module"
)

// RunLocal runs the local stage and returns its errors: it finds the data
// source, makes its instance the current one, and configures the network.
func (b *Boot) RunLocal(ctx context.Context) []string {
	return b.perform(clouddir.StageLocal, "init-local", func(o *outcome) { b.local(ctx, o) })
}

func (b *Boot) local(ctx context.Context, o *outcome) {
	o.add(b.Dir.Prepare())
	o.add(b.Dir.BeginBoot())
	if !b.Distro.Systemd() {
		o.add(b.Distro.ApplyHostname())
	}
	l := &link{b: b}
	step := b.begin("init-local", "search", "searching for local data")
	inst, err := b.findLocal(ctx, l)
	if err != nil {
		// The network stage asks once more, with the network up.
		step.end(true, "no local data found")
		b.Log.Info(err.Error(), clouddir.Component, "stages.py")
		b.inject(l.drive)
		b.unreached(b.configure(ctx, nil, false, l))
		return
	}
	step.end(true, "found local data from "+inst.Class)
	o.source = inst.String()
	fresh := b.Dir.PreviousID() != inst.InstanceID
	b.inject(l.drive, inst)
	o.add(b.become(inst, fresh))
	if err := module.EarlyHostname(ctx, b.env(cloudOf(inst), b.config())); err != nil {
		b.Log.Warn("Failed setting hostname in local stage, will retry: " + err.Error())
	}
	b.unreached(b.configure(ctx, inst, fresh, l))
	if inst.Mode == localMode {
		b.Log.Debug("[local] "+inst.String()+" is in local mode, will apply init modules now.", clouddir.Component, "main.py")
		b.apply(ctx, o, inst)
	}
}

// localMode is the mode of an instance whose data are applied in the local
// stage already, before there is a network.
const localMode = "local"

// unreached logs a network that could not be brought up. It is a warning: the
// boot goes on without, and the link may well come up later.
func (b *Boot) unreached(err error) {
	if err != nil {
		b.Log.Warn(err.Error(), clouddir.Component, "stages.py")
	}
}

// RunInit runs the network stage and returns its errors: it finds the data
// source if that was not possible before the network was up, takes user and
// vendor data apart, and runs the init modules.
func (b *Boot) RunInit(ctx context.Context) []string {
	return b.perform(clouddir.StageInit, "init", func(o *outcome) { b.init(ctx, o) })
}

func (b *Boot) init(ctx context.Context, o *outcome) {
	o.add(b.Dir.Prepare())
	if inst := b.decided(); inst != nil && inst.Mode == localMode {
		b.Log.Debug("[net] Exiting. datasource "+inst.String()+" in local mode", clouddir.Component, "main.py")
		return
	}
	inst, err := b.current(ctx)
	o.add(err)
	if inst == nil {
		return
	}
	o.source = inst.String()
	b.apply(ctx, o, inst)
}

// apply takes user and vendor data apart and runs the init modules.
func (b *Boot) apply(ctx context.Context, o *outcome, inst *datasource.Instance) {
	cloud := cloudOf(inst)
	o.add(b.takeData(ctx, inst))
	config := b.config()
	if err := module.EarlyHostname(ctx, b.env(cloud, config)); err != nil {
		b.Log.Warn("Failed setting hostname in init stage, will retry: " + err.Error())
	}
	o.errs = append(o.errs, b.runList(ctx, "init-network", b.Init, b.env(cloud, config))...)
}

// current is the instance that the local stage found, or the one that is found
// now.
func (b *Boot) current(ctx context.Context) (*datasource.Instance, error) {
	if inst := b.decided(); inst != nil {
		b.Log.Debug("restored from cache with run check: "+inst.String(), clouddir.Component, "stages.py")
		return inst, b.become(inst, false)
	}
	l := &link{b: b}
	inst, err := b.findNetwork(ctx, l)
	if err != nil {
		return nil, err
	}
	fresh := b.Dir.PreviousID() != inst.InstanceID
	b.inject(inst)
	if err := b.become(inst, fresh); err != nil {
		return inst, err
	}
	if inst.Name != noneName {
		b.unreached(b.configure(ctx, inst, fresh, l))
	}
	return inst, nil
}

// decided is the instance that this boot already found; nil before that.
func (b *Boot) decided() *datasource.Instance {
	inst, err := b.cached()
	if err != nil || b.Dir.RunID() != inst.InstanceID {
		return nil
	}
	return inst
}

// become makes inst the current instance and records it.
func (b *Boot) become(inst *datasource.Instance, fresh bool) error {
	id := clouddir.Identity{ID: inst.InstanceID, Source: inst.Line()}
	if err := b.Dir.Instancify(id, inst); err != nil {
		return fmt.Errorf("make %s the current instance: %w", inst.InstanceID, err)
	}
	b.Log.Debug(fmt.Sprintf("init will now be targeting instance id: %s. new=%t", inst.InstanceID, fresh))
	return b.record(inst)
}

// takeData stores user and vendor data and has their parts do their work,
// the user's first: it may switch the vendor's off.
func (b *Boot) takeData(ctx context.Context, inst *datasource.Instance) error {
	user, vendor, vendor2 := origins()
	var errs []error
	for _, s := range []struct {
		from origin
		raw  []byte
	}{{user, inst.UserData}, {vendor, inst.VendorData}, {vendor2, inst.VendorData2}} {
		step := b.begin("init-network", "consume-"+s.from.name, "reading and applying "+s.from.name)
		err := b.takeSet(ctx, inst, s.from, s.raw)
		step.end(err == nil, "reading and applying "+s.from.name)
		errs = append(errs, err)
	}
	if !b.Dir.HasRun("consume_data", clouddir.PerInstance) {
		errs = append(errs, b.Dir.Mark("consume_data", clouddir.PerInstance))
	}
	return errors.Join(errs...)
}

func (b *Boot) takeSet(ctx context.Context, inst *datasource.Instance, from origin, raw []byte) error {
	parts, problems := userdata.Parse(raw, userdata.Options{
		Fetch: func(i userdata.Include) ([]byte, error) { return b.include(ctx, i) },
	})
	errs := []error{
		b.Dir.WriteInstance(from.name+".txt", raw),
		b.Dir.WriteInstance(from.name+".txt.i", userdata.Multipart(parts)),
	}
	for _, p := range problems {
		if !p.Dropped {
			continue // the part itself comes up again
		}
		err := fmt.Errorf("%s part %s: %s", from.name, printable(p.Part), printable(p.Text))
		b.Log.Warn(err.Error())
		errs = append(errs, err)
	}
	if from.config != userConfig && (len(raw) == 0 || !b.vendorEnabled(from)) {
		return errors.Join(errs...)
	}
	if n, err := inst.MetaData.Get("launch_index").AsInt(); err == nil {
		parts = userdata.ForLaunchIndex(parts, int(n))
	}
	return errors.Join(append(errs, b.consume(ctx, inst.InstanceID, from, parts))...)
}

// vendorEnabled reads vendor_data.enabled, or vendor_data2.enabled, from the
// user's and the system's configuration.
func (b *Boot) vendorEnabled(from origin) bool {
	key := strings.ReplaceAll(from.name, "-", "_")
	settings := b.config().Get(key)
	if settings != nil && settings.Kind != cloudconfig.KindMap {
		b.Log.Warn("invalid " + key + " setting: " + from.name + " is not used")
		return false
	}
	on, err := settings.Bool("enabled")
	if err != nil {
		b.Log.Warn(err.Error())
	}
	return err == nil && on.Or(false)
}
