package computeagent

import (
	"context"
	"time"

	"imprint/host/cloud"
)

// rebuild halts the instance, removes all it has, disk and config drive
// included, and starts it from its image's tree, or leaves it down if it is to
// be off. It can be cut off anywhere: until the removal is noted it is done
// again, afterwards the start goes on. One that is to be off is not booted in
// between as Nova does it (nova: compute/manager.py _do_rebuild_instance,
// 26.2.2): its first boot is the next.
func (w *worker) rebuild(ctx context.Context, d cloud.DesiredInstance, m memory, plugs []plug) error {
	if err := w.halt(ctx, "SOFT"); err != nil {
		return err
	}
	m.Ports = append(m.Ports, d.Ports...)
	if err := w.remove(ctx, m); err != nil {
		return err
	}
	w.awaiting = time.Time{}
	m = memory{Phase: phaseResume, Rebooted: m.Rebooted, Rebuilt: d.RebuildGeneration}
	if err := w.remember(m); err != nil {
		return err
	}
	w.agent.log.Info("disk of the instance removed for a rebuild", "server_id", w.id)
	if d.Power == cloud.PowerOff {
		m.Phase = phaseOff
		return w.down(&m, time.Time{})
	}
	return w.start(ctx, d, m, plugs)
}
