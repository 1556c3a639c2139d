package computeagent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"imprint/host/cloud"
	"imprint/host/fabric"
)

// node is a fake machine: driver and ports in memory, and a transcript of what
// the agent did and told.
type node struct {
	t   *testing.T
	dir string

	mu      sync.Mutex
	log     []string
	states  map[cloud.ServerID]cloud.InstanceState
	since   map[cloud.ServerID]time.Time
	ended   map[cloud.ServerID]chan struct{}
	plugged map[cloud.PortID]bool
	hang    map[cloud.ServerID]bool // whose start hangs until its context ends
	broken  map[cloud.ServerID]error
	onStart func(cloud.DesiredInstance) // nil: nothing
	starts  int                         // under way
	most    int
}

func newNode(t *testing.T) *node {
	return &node{
		t: t, dir: t.TempDir(), states: map[cloud.ServerID]cloud.InstanceState{}, since: map[cloud.ServerID]time.Time{},
		ended: map[cloud.ServerID]chan struct{}{}, plugged: map[cloud.PortID]bool{},
		hang: map[cloud.ServerID]bool{}, broken: map[cloud.ServerID]error{},
	}
}

func (n *node) note(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.log = append(n.log, fmt.Sprintf(format, args...))
}

// did returns the transcript so far and starts a new one.
func (n *node) did() string {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	text := strings.Join(n.log, "\n")
	n.log = nil
	return text
}

// expect compares the transcript with the lines given.
func (n *node) expect(what string, lines ...string) {
	n.t.Helper()
	if got, want := n.did(), strings.Join(lines, "\n"); got != want {
		n.t.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
	}
}

func (n *node) Start(ctx context.Context, inst cloud.DesiredInstance, tree string, plug func(*os.File) error) error {
	n.note("start %s on %s", inst.ID, tree)
	if n.onStart != nil {
		n.onStart(inst)
	}
	n.mu.Lock()
	n.starts++
	n.most = max(n.most, n.starts)
	hang, broken := n.hang[inst.ID], n.broken[inst.ID]
	n.mu.Unlock()
	defer func() { n.mu.Lock(); n.starts--; n.mu.Unlock() }()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if broken != nil {
		return broken
	}
	ns, err := n.NetNS(inst.ID)
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := plug(ns); err != nil {
		return err
	}
	n.set(inst.ID, cloud.InstanceActive)
	return nil
}

// fail makes starts and removals of an instance fail with err, nil ends it.
func (n *node) fail(id cloud.ServerID, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.broken[id] = err
}

func (n *node) set(id cloud.ServerID, s cloud.InstanceState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ended[id] != nil {
		close(n.ended[id])
		n.ended[id] = nil
	}
	if n.states[id] = s; s == cloud.InstanceActive {
		n.ended[id] = make(chan struct{})
		n.since[id] = time.Now()
	}
}

func (n *node) Stop(_ context.Context, id cloud.ServerID, grace time.Duration) error {
	n.note("stop %s within %v", id, grace)
	n.set(id, cloud.InstanceStopped)
	return nil
}

func (n *node) Destroy(_ context.Context, id cloud.ServerID) error {
	n.note("destroy %s", id)
	n.mu.Lock()
	err := n.broken[id]
	n.mu.Unlock()
	if err != nil {
		return err
	}
	n.set(id, cloud.InstanceBuilding)
	return os.RemoveAll(filepath.Join(n.dir, string(id)))
}

func (n *node) Status(id cloud.ServerID) (cloud.InstanceState, time.Time, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s := n.states[id]; s != "" {
		return s, n.since[id], nil
	}
	return cloud.InstanceBuilding, time.Time{}, nil
}

func (n *node) NetNS(cloud.ServerID) (*os.File, error) { return os.Open("/proc/self/ns/net") }

func (n *node) Exited(ctx context.Context, id cloud.ServerID) error {
	n.mu.Lock()
	ended := n.ended[id]
	n.mu.Unlock()
	if ended == nil {
		return nil
	}
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *node) List() ([]cloud.ServerID, error) {
	entries, err := os.ReadDir(n.dir)
	var ids []cloud.ServerID
	for _, e := range entries {
		ids = append(ids, cloud.ServerID(e.Name()))
	}
	return ids, err
}

func (n *node) Plug(p fabric.Plug) error {
	n.note("plug %s as %s, mtu %d", p.Port.ID, p.Name, p.MTU)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.plugged[p.Port.ID] = true
	return nil
}

func (n *node) Unplug(id cloud.PortID) error {
	n.mu.Lock()
	was := n.plugged[id]
	delete(n.plugged, id)
	n.mu.Unlock()
	if was {
		n.note("unplug %s", id)
	}
	return nil
}

func (n *node) Sweep(class fabric.Class, keep map[cloud.PortID]bool) error {
	var ids []string
	for id := range keep {
		ids = append(ids, string(id))
	}
	slices.Sort(ids)
	n.note("sweep %s but %v", class, ids)
	return nil
}

func (n *node) report(r cloud.Report) {
	switch {
	case r.Instance != nil:
		fault := ""
		if r.Instance.Fault != "" {
			fault = ": " + r.Instance.Fault
		}
		rebuild := ""
		if r.Instance.RebuildGeneration != 0 {
			rebuild = fmt.Sprintf(", rebuild %d", r.Instance.RebuildGeneration)
		}
		n.note("tell %s is %s, reboot %d%s%s", r.Instance.ID, r.Instance.State, r.Instance.RebootGeneration, rebuild, fault)
	case r.Port != nil:
		n.note("tell %s is up: %v", r.Port.ID, r.Port.Up)
	}
}

// run runs an agent on the node until stop is called.
func (n *node) run(c Config) (a *Agent, stop func()) {
	c.Driver, c.Ports, c.Report, c.Dir = n, n, n.report, n.dir
	c.Trees = map[string]string{"bookworm": "/trees/bookworm"}
	a = New(c)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	return a, func() {
		cancel()
		if err := <-done; err != nil {
			n.t.Errorf("run: %v", err)
		}
	}
}

// slice is a node's slice of instances on the network n1, each with the port
// p-<id>.
func slice(insts ...cloud.DesiredInstance) cloud.Slice {
	s := cloud.NewSlice()
	s.Networks["n1"] = cloud.DesiredNetwork{ID: "n1", MTU: 1450}
	for _, d := range insts {
		for _, p := range d.Ports {
			s.Ports[p] = cloud.DesiredPort{ID: p, NetworkID: "n1", DeviceID: string(d.ID), Local: true}
		}
		s.Instances[d.ID] = d
	}
	return s
}

func instance(id cloud.ServerID, change ...func(*cloud.DesiredInstance)) cloud.DesiredInstance {
	d := cloud.DesiredInstance{ID: id, Tree: "host", RAM: 64, Power: cloud.PowerOn, Ports: []cloud.PortID{"p-" + cloud.PortID(id)}}
	for _, f := range change {
		f(&d)
	}
	return d
}

func off(d *cloud.DesiredInstance)      { d.Power = cloud.PowerOff }
func deleting(d *cloud.DesiredInstance) { d.Deleting = true }
func rebooted(n int64, how string) func(*cloud.DesiredInstance) {
	return func(d *cloud.DesiredInstance) { d.RebootGeneration, d.RebootType = n, how }
}

var errBroken = errors.New("/secret/path: broken")
