package computeagent

import (
	"context"
	"errors"
	"os"
	"reflect"
	"time"

	"imprint/host/cloud"
)

// worker looks after one instance, in one goroutine.
type worker struct {
	agent *Agent
	id    cloud.ServerID
	woken chan struct{}

	// plugged are the ports as they were last connected.
	plugged map[cloud.PortID]plug
	// told is the last report, not to be repeated.
	told     *cloud.InstanceReport
	toldPort map[cloud.PortID]bool
	// failed is what was wanted when it could not be done; it is not tried
	// again before something else is wanted, a removal or stop excepted.
	failed *wanted
	retry  <-chan time.Time
	// awaiting is since when the documents of a config drive are waited for.
	awaiting time.Time
}

// retryPause is the time between attempts to remove or stop an instance.
const retryPause = 10 * time.Second

// wanted is what an attempt is made of.
type wanted struct {
	instance cloud.DesiredInstance
	plugs    []plug
}

func newWorker(a *Agent, id cloud.ServerID) *worker {
	return &worker{
		agent: a, id: id, woken: make(chan struct{}, 1),
		plugged: map[cloud.PortID]plug{}, toldPort: map[cloud.PortID]bool{},
	}
}

// wake has the worker look again.
func (w *worker) wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

func (w *worker) run(ctx context.Context) {
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	var exited <-chan struct{}
	for {
		select {
		case <-ctx.Done():
			w.end(ctx)
			return
		case <-w.woken:
		case <-w.retry:
		case <-exited:
			exited = nil
		}
		if gone := w.look(ctx); gone && w.agent.retire(w) {
			return
		}
		if exited == nil && w.runs() {
			exited = w.watch(watch)
		}
	}
}

// watch returns a channel that is closed when the instance has ended.
func (w *worker) watch(ctx context.Context) <-chan struct{} {
	c := make(chan struct{})
	go func() {
		err := w.agent.config.Driver.Exited(ctx, w.id)
		if err == nil {
			close(c)
		} else if ctx.Err() == nil {
			w.agent.log.Warn("instance is not watched", "server_id", w.id, "error", err)
		}
	}()
	return c
}

func (w *worker) runs() bool {
	now, _, err := w.agent.config.Driver.Status(w.id)
	return err == nil && now == cloud.InstanceActive
}

// look compares and acts once; true means that nothing of the instance is left.
func (w *worker) look(ctx context.Context) (gone bool) {
	slice, inst := w.desired()
	if slice == nil {
		return false
	}
	want := wanted{plugs: w.plugs(*slice, inst)}
	if inst != nil {
		want.instance = *inst
	}
	if w.failed != nil && reflect.DeepEqual(*w.failed, want) {
		return false
	}
	w.failed, w.retry = nil, nil
	gone, err := w.act(ctx, inst, want.plugs)
	if err != nil && ctx.Err() == nil {
		w.fail(inst, want, err)
	}
	return gone
}

func (w *worker) fail(inst *cloud.DesiredInstance, want wanted, err error) {
	w.agent.log.Error("instance failed", "server_id", w.id, "error", err)
	if inst == nil || inst.Deleting || inst.Power == cloud.PowerOff {
		w.retry = time.After(retryPause)
	} else {
		w.failed = &want
	}
	if inst != nil {
		w.reportFault(*inst, err)
	}
}

// desired returns the slice, nil before the first, and what it wants of the
// instance, nil for nothing.
func (w *worker) desired() (*cloud.Slice, *cloud.DesiredInstance) {
	w.agent.mu.Lock()
	defer w.agent.mu.Unlock()
	if w.agent.slice == nil {
		return nil, nil
	}
	if d, ok := w.agent.slice.Instances[w.id]; ok {
		return w.agent.slice, &d
	}
	return w.agent.slice, nil
}

func (w *worker) act(ctx context.Context, d *cloud.DesiredInstance, plugs []plug) (gone bool, err error) {
	m, err := w.recall()
	if err != nil && d != nil && !d.Deleting {
		return false, err
	}
	now, since, err := w.agent.config.Driver.Status(w.id)
	if err != nil && d != nil && !d.Deleting {
		return false, err
	}
	do := decide(d, m, now)
	if do != destroy && do != rebuild {
		w.refreshDrive(*d, &m)
	}
	switch do {
	case destroy:
		err := w.destroy(ctx, d, m)
		return err == nil, err
	case adopt:
		if err := w.replug(&m, plugs); err != nil {
			return false, err
		}
		w.report(cloud.InstanceActive, m, since, "")
	case rest:
		if d.Power == cloud.PowerOff && m.Phase != phaseOff {
			m.Phase = phaseOff
			return false, w.down(&m, since)
		}
		w.report(cloud.InstanceStopped, m, since, "")
	case halted:
		w.agent.log.Info("instance ended", "server_id", w.id)
		m.Phase = phaseHalted
		return false, w.down(&m, since)
	case stop:
		return false, w.stop(ctx, m)
	case reboot:
		if err := w.halt(ctx, d.RebootType); err != nil {
			return false, err
		}
		return false, w.start(ctx, *d, m, plugs)
	case rebuild:
		return false, w.rebuild(ctx, *d, m, plugs)
	case start:
		return false, w.start(ctx, *d, m, plugs)
	}
	return false, nil
}

// destroy removes the instance with all it has.
func (w *worker) destroy(ctx context.Context, d *cloud.DesiredInstance, m memory) error {
	if d != nil {
		m.Ports = append(m.Ports, d.Ports...)
	}
	if err := w.remove(ctx, m); err != nil {
		return err
	}
	w.agent.log.Info("instance removed", "server_id", w.id)
	if d != nil {
		w.report(cloud.InstanceDeleted, memory{Rebooted: d.RebootGeneration, Rebuilt: d.RebuildGeneration}, time.Time{}, "")
	}
	return nil
}

// remove removes the instance's folder and disconnects its ports.
func (w *worker) remove(ctx context.Context, m memory) error {
	if err := w.agent.config.Driver.Destroy(ctx, w.id); err != nil {
		return err
	}
	return w.unplug(m.Ports)
}

func (w *worker) stop(ctx context.Context, m memory) error {
	if err := w.halt(ctx, "SOFT"); err != nil {
		return err
	}
	m.Phase = phaseOff
	_, since, err := w.agent.config.Driver.Status(w.id)
	if err != nil {
		return err
	}
	return w.down(&m, since)
}

// down remembers and reports that the instance does not run.
func (w *worker) down(m *memory, since time.Time) error {
	if err := w.unplug(m.Ports); err != nil {
		return err
	}
	m.Ports = nil
	if err := w.remember(*m); err != nil {
		return err
	}
	w.report(cloud.InstanceStopped, *m, since, "")
	return nil
}

// halt ends the instance's processes, by force for a HARD reboot.
func (w *worker) halt(ctx context.Context, how string) error {
	grace := w.agent.config.Grace
	if how == "HARD" {
		grace = 0
	}
	return w.agent.config.Driver.Stop(ctx, w.id, grace)
}

// start boots the instance, when its turn has come.
func (w *worker) start(ctx context.Context, d cloud.DesiredInstance, m memory, plugs []plug) error {
	tree, err := w.agent.tree(d.Tree)
	if err != nil {
		return err
	}
	if m.Phase == phaseNew {
		w.report(cloud.InstanceBuilding, m, time.Time{}, "")
	}
	select {
	case w.agent.starts <- struct{}{}:
		defer func() { <-w.agent.starts }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if ready, err := w.makeDrive(d, &m); !ready {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, w.agent.config.StartTimeout)
	defer cancel()
	if err := w.unplug(m.Ports); err != nil {
		return err
	}
	// Written before it is true: whatever happens, they are unplugged some day.
	m.Ports = portIDs(plugs)
	if err := w.remember(m); err != nil {
		return err
	}
	err = w.agent.config.Driver.Start(ctx, d, tree, func(netns *os.File) error { return w.plugAll(netns, plugs) })
	if err != nil {
		return errors.Join(err, w.unplug(m.Ports))
	}
	m.Phase, m.Rebooted = phaseOn, d.RebootGeneration
	if err := w.remember(m); err != nil {
		return err
	}
	_, since, err := w.agent.config.Driver.Status(w.id)
	if err != nil {
		return err
	}
	w.agent.log.Info("instance started", "server_id", w.id)
	w.report(cloud.InstanceActive, m, since, "")
	return nil
}

// end is the worker's last act: the instance stops with the agent, to be
// started again by the next, or goes on without it.
func (w *worker) end(ctx context.Context) {
	if w.agent.config.KeepInstances() || !w.runs() {
		return
	}
	log := w.agent.log.With("server_id", w.id)
	grace := w.agent.config.Grace
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace+20*time.Second)
	defer cancel()
	m, err := w.recall()
	if err == nil {
		m.Phase = phaseResume
		err = w.remember(m)
	}
	if err != nil {
		log.Warn("instance will not start again by itself", "error", err)
	}
	if err := w.agent.config.Driver.Stop(ctx, w.id, grace); err != nil {
		log.Error("instance not stopped", "error", err)
		return
	}
	if err := w.unplug(m.Ports); err != nil {
		log.Warn("ports are left", "error", err)
	}
}
