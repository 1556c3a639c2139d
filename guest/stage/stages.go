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
	return b.perform(ctx, clouddir.StageLocal, "init-local", func(o *outcome) { b.local(ctx, o) })
}

func (b *Boot) local(ctx context.Context, o *outcome) {
	b.welcome(b.config(), "init", "init-local")
	o.add(b.Dir.Prepare())
	o.add(b.Dir.BeginBoot())
	if !b.Distro.Systemd() {
		o.add(b.Distro.ApplyHostname())
	}
	l := &link{b: b}
	inst, err := b.findLocal(ctx, l)
	if err != nil {
		// The network stage asks once more, with the network up.
		b.Log.Info(err.Error(), clouddir.Component, "stages.py")
		b.inject(l.drive)
		b.unreached(b.configure(ctx, nil, false, l))
		return
	}
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
	return b.perform(ctx, clouddir.StageInit, "init-network", func(o *outcome) { b.init(ctx, o) })
}

func (b *Boot) init(ctx context.Context, o *outcome) {
	b.welcome(b.config(), "init", "init")
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
	for _, p := range inst.Problems {
		b.ignore(inst.Class+".py", "metadata: "+printable(p))
	}
	b.begin(ctx, "setup-datasource", "setting up datasource").end(ctx, true, "")
	o.add(b.takeData(ctx, inst))
	config := b.config()
	if err := b.stop(config); err != nil {
		o.add(err)
		return
	}
	b.reportTo(ctx, config)
	b.redirect(config, "init")
	b.begin(ctx, "activate-datasource", "activating datasource").end(ctx, true, "")
	if err := module.EarlyHostname(ctx, b.env(cloud, config)); err != nil {
		b.Log.Warn("Failed setting hostname in init stage, will retry: " + err.Error())
	}
	o.add(b.combined(config))
	b.runList(ctx, o, b.section(config, initSection, b.Init), b.env(cloud, config))
}

// current is the instance that the local stage found, or the one that is found
// now.
func (b *Boot) current(ctx context.Context) (*datasource.Instance, error) {
	if inst := b.decided(); inst != nil {
		b.begin(ctx, "check-cache", "attempting to read from cache [trust]").end(ctx, true, "restored from cache with run check: "+inst.String())
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
	decided := b.Dir.RunID() == inst.InstanceID
	id := clouddir.Identity{ID: inst.InstanceID, Source: inst.Line()}
	if err := b.Dir.Instancify(id, inst); err != nil {
		return fmt.Errorf("make %s the current instance: %w", inst.InstanceID, err)
	}
	if b.trusted() {
		if err := b.Root.WriteFile(manualClean, nil, 0o644); err != nil {
			return fmt.Errorf("mark instance: %w", err)
		}
	}
	b.Log.Debug(fmt.Sprintf("init will now be targeting instance id: %s. new=%t", inst.InstanceID, fresh), clouddir.Component, "main.py")
	if decided && b.Dir.HasInstanceData() {
		return nil
	}
	return b.record(inst)
}

// takeData stores user and vendor data and has their parts do their work,
// the user's first: it may switch the vendor's off. What cannot be had of them
// is an error; what is wrong with them, a warning.
func (b *Boot) takeData(ctx context.Context, inst *datasource.Instance) error {
	first := !b.Dir.HasRun("consume_data", clouddir.PerInstance)
	user, vendor, vendor2 := origins()
	var errs []error
	for _, s := range []struct {
		from origin
		raw  []byte
	}{{user, inst.UserData}, {vendor, inst.VendorData}, {vendor2, inst.VendorData2}} {
		step := b.begin(ctx, "consume-"+s.from.name, "reading and applying "+s.from.name)
		err := b.takeSet(ctx, inst, s.from, s.raw, first)
		step.end(ctx, err == nil, "")
		errs = append(errs, err)
	}
	if first && !b.Offline {
		errs = append(errs, b.Dir.Mark("consume_data", clouddir.PerInstance))
	}
	return errors.Join(errs...)
}

func (b *Boot) takeSet(ctx context.Context, inst *datasource.Instance, from origin, raw []byte, first bool) error {
	var errs []error
	parts, problems := userdata.Parse(raw, userdata.Options{
		Fetch: func(i userdata.Include) ([]byte, error) {
			data, err := b.include(ctx, i)
			if err != nil {
				errs = append(errs, err)
			}
			return data, err
		},
	})
	errs = append(errs, b.Dir.WriteInstance(from.name+".txt", raw), b.Dir.WriteInstance(from.name+".txt.i", userdata.Multipart(parts)))
	for _, p := range problems {
		if p.Dropped { // else the part itself comes up again
			b.ignore("user_data.py", fmt.Sprintf("%s part %s: %s", from.name, printable(p.Part), printable(p.Text)))
		}
	}
	on, disabled := b.wants(from, raw)
	if !on {
		return errors.Join(errs...)
	}
	if n, err := inst.MetaData.Get("launch_index").AsInt(); err == nil {
		parts = userdata.ForLaunchIndex(parts, int(n))
	}
	return errors.Join(append(errs, b.consume(ctx, inst, from, parts, first, disabled))...)
}

// wants tells whether the data of an origin are used: user data unless
// allow_userdata is false, vendor data as vendor_data or vendor_data2 of the
// user's and the system's configuration say. Vendor data may have content types
// that nobody handles.
func (b *Boot) wants(from origin, raw []byte) (on bool, disabled []string) {
	config := b.config()
	if from.config == userConfig {
		allowed, err := config.Bool("allow_userdata")
		if err != nil {
			b.Log.Warn(err.Error())
		}
		if !allowed.Or(true) {
			b.Log.Debug("allow_userdata = False: discarding user-data", clouddir.Component, "stages.py")
		}
		return allowed.Or(true), nil
	}
	if len(raw) == 0 {
		b.Log.Debug("no "+strings.ReplaceAll(from.name, "-", "")+" from datasource", clouddir.Component, "stages.py")
		return false, nil
	}
	key := strings.ReplaceAll(from.name, "-", "_")
	settings := config.Get(key)
	if settings != nil && settings.Kind != cloudconfig.KindMap {
		b.Log.Warn("invalid " + key + " setting: " + from.name + " is not used")
		return false, nil
	}
	enabled, err := settings.Bool("enabled")
	if err == nil {
		disabled, err = settings.Strings("disabled_handlers")
	}
	if err != nil {
		b.Log.Warn(err.Error())
	}
	return err == nil && enabled.Or(false), disabled
}
