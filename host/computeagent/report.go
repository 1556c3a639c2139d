package computeagent

import (
	"errors"
	"time"

	"imprint/host/cloud"
)

// hostTree is the name of the driver's own tree.
const hostTree = "host"

// tree returns the root file system of that name.
func (a *Agent) tree(name string) (string, error) {
	if name == hostTree {
		return hostTree, nil
	}
	dir := a.config.Trees[name]
	if dir == "" {
		return "", cloud.Errorf(cloud.Invalid, "the image names the tree %q, which this node does not have", name)
	}
	return dir, nil
}

// faultText is what the server's owner learns of an error: the node's inner
// life is none of it.
func faultText(err error) string {
	var known *cloud.Error
	if errors.As(err, &known) && known.Kind != cloud.Internal {
		return known.Text
	}
	return "the node could not run the instance; its log says why"
}

// report tells the instance's state unless it was told last.
func (w *worker) report(s cloud.InstanceState, m memory, since time.Time, fault string) {
	r := cloud.InstanceReport{ID: w.id, State: s, Fault: fault, RebootGeneration: m.Rebooted, RebuildGeneration: m.Rebuilt, StartedAt: since}
	if w.told != nil && *w.told == r {
		return
	}
	w.told = &r
	w.agent.config.Report(cloud.Report{Instance: &r})
}

// reportPort tells whether a port is connected unless it was told last.
func (w *worker) reportPort(id cloud.PortID, up bool) {
	if last, ok := w.toldPort[id]; ok && last == up {
		return
	}
	w.toldPort[id] = up
	w.agent.config.Report(cloud.Report{Port: &cloud.PortReport{ID: id, Up: up}})
}

// reportFault tells that what is wanted of the instance could not be done: a
// rebuild that failed is over, too.
func (w *worker) reportFault(d cloud.DesiredInstance, err error) {
	m, _ := w.recall() // nothing is known of one whose memory cannot be read
	m.Rebuilt = d.RebuildGeneration
	w.report(cloud.InstanceError, m, time.Time{}, faultText(err))
}
