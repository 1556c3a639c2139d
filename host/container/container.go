// Package container runs instances as containers of this machine's kernel.
//
// An instance is a tree of processes in namespaces of its own (user, mount,
// pid, network, uts, ipc, cgroup), below a small init, on an overlay of a
// read-only root file system ("tree"). A privileged shim process per instance
// makes its mounts, owns its console and its exit status, and outlives the
// agent that started it; what it knows is in the file shim.json of the
// instance's folder, by which a later agent finds it again. The driver itself
// remembers nothing.
//
// Shims stay in the control group of the agent that started them: a service
// manager must be told to leave them alone when it stops the agent (systemd:
// KillMode=process).
//
// Shim and init are this very binary, started again: a program that uses the
// package calls [ShimMain] first thing when [IsShim] says so.
package container

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"imprint/host/cloud"
)

// HostTree is the name of the built-in tree: this machine's /usr, read-only,
// below a root file system that is otherwise new.
const HostTree = "host"

// Config sets up a [Driver].
type Config struct {
	// Dir holds one folder an instance. Only root may be able to enter it; its
	// file system must do as an overlay's upper layer and for idmapped mounts.
	Dir string
	// Guest is the imprint-guest program that instances of [HostTree] find as
	// /usr/bin/imprint-guest and /usr/bin/cloud-init; "" gives them none.
	Guest string
	// MaxProcesses bounds the processes and threads of one instance; 0 means 1024.
	MaxProcesses int
	// Cgroup is the control group above those of the instances; "" means imprint.
	Cgroup string
	Log    *slog.Logger // nil discards
}

// Driver starts and stops containers. Its methods are safe for concurrent use
// for different instances; calls for one instance must not overlap, [Driver.State],
// [Driver.Status], [Driver.Await] and [Driver.Exited] excepted.
type Driver struct {
	config   Config
	log      *slog.Logger
	choosing sync.Mutex // of users for a new instance
}

// New returns a driver; it touches nothing. [Driver.Check] says whether the
// machine can run containers.
func New(c Config) *Driver {
	if c.MaxProcesses == 0 {
		c.MaxProcesses = 1024
	}
	if c.Cgroup == "" {
		c.Cgroup = "imprint"
	}
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Driver{config: c, log: log}
}

// Start boots the instance from its disk, which is made first if there is
// none. A file disk.config in its folder is its config drive. Tree is [HostTree] or the directory of a root file system. When the
// instance's network namespace is there and before anything runs in it, plug
// is called with it; the file is closed when plug returns. Start returns once
// the init runs; how the boot goes on is in [Driver.State]. After an error
// nothing runs.
//
// Of inst it takes ID and RAM.
func (d *Driver) Start(ctx context.Context, inst cloud.DesiredInstance, tree string, plug func(netns *os.File) error) error {
	if err := d.start(ctx, inst, tree, plug); err != nil {
		return fmt.Errorf("start container %s: %w", inst.ID, err)
	}
	d.log.Info("container started", "server_id", inst.ID)
	return nil
}

func (d *Driver) start(ctx context.Context, inst cloud.DesiredInstance, tree string, plug func(netns *os.File) error) error {
	dir, err := d.folder(inst.ID)
	if err != nil {
		return err
	}
	if rec, err := readRecord(dir); err == nil && rec.Shim.Alive() {
		return errors.New("it runs already")
	}
	if err := d.clear(inst.ID, dir); err != nil {
		return err
	}
	s, err := d.prepare(dir, inst, tree)
	if err != nil {
		return err
	}
	if err := launch(ctx, s, plug); err != nil {
		return errors.Join(err, d.clear(inst.ID, dir))
	}
	return nil
}

// Stop ends the instance: its init is asked to halt, and what is still there
// after grace is killed; grace 0 kills at once. It returns when nothing of it
// runs any more; the disk stays. Stopping what does not run is no error. When
// ctx ends first, the instance may be left halting.
func (d *Driver) Stop(ctx context.Context, id cloud.ServerID, grace time.Duration) error {
	dir, err := d.folder(id)
	if err != nil {
		return fmt.Errorf("stop container %s: %w", id, err)
	}
	if rec, err := readRecord(dir); err == nil {
		if err := rec.stop(ctx, grace); err != nil {
			return fmt.Errorf("stop container %s: %w", id, err)
		}
	}
	if err := d.clear(id, dir); err != nil {
		return fmt.Errorf("stop container %s: %w", id, err)
	}
	d.log.Info("container stopped", "server_id", id)
	return nil
}

// Destroy kills the instance and removes its folder with the disk. Destroying
// what does not exist is no error.
func (d *Driver) Destroy(ctx context.Context, id cloud.ServerID) error {
	if err := d.Stop(ctx, id, 0); err != nil {
		return err
	}
	dir, err := d.folder(id)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove folder of %s: %w", id, err)
	}
	return nil
}

// clear removes what a shim that was killed left behind. No shim runs.
func (d *Driver) clear(id cloud.ServerID, dir string) error {
	if rec, err := readRecord(dir); err == nil {
		if err := rec.Init.kill(); err != nil {
			return err
		}
	}
	groups, err := openCgroups(d.config.Cgroup)
	if err != nil {
		return err
	}
	defer groups.close()
	return groups.remove(string(id))
}

// Status says how an instance is, and when it last started:
//
//	InstanceBuilding  it never started, or does not exist
//	InstanceActive    it runs
//	InstanceStopped   its init ended, asked or of its own accord
//	InstanceError     it was cut off: its shim was killed or the machine restarted
func (d *Driver) Status(id cloud.ServerID) (cloud.InstanceState, time.Time, error) {
	st, err := d.State(id)
	switch {
	case err != nil:
		return cloud.InstanceError, time.Time{}, err
	case st.Phase == Absent:
		return cloud.InstanceBuilding, time.Time{}, nil
	case st.Phase != Exited:
		return cloud.InstanceActive, st.StartedAt, nil
	case st.Exit == exitLost:
		return cloud.InstanceError, st.StartedAt, nil
	}
	return cloud.InstanceStopped, st.StartedAt, nil
}

// Exited returns when the instance does not run, or with ctx's error.
func (d *Driver) Exited(ctx context.Context, id cloud.ServerID) error {
	_, err := d.Await(ctx, id, func(st State) bool { return st.Phase == Exited || st.Phase == Absent })
	return err
}

// PID returns the instance's first process as this machine sees it, to enter
// its namespaces by.
func (d *Driver) PID(id cloud.ServerID) (int, error) {
	dir, err := d.folder(id)
	if err != nil {
		return 0, err
	}
	rec, err := readRecord(dir)
	if err != nil {
		return 0, err
	}
	if !rec.Init.Alive() {
		return 0, fmt.Errorf("container %s does not run", id)
	}
	return rec.Init.PID, nil
}

// NetNS opens the network namespace of a running instance.
func (d *Driver) NetNS(id cloud.ServerID) (*os.File, error) {
	pid, err := d.PID(id)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, fmt.Errorf("open network namespace of %s: %w", id, err)
	}
	// It was that process's, if that process is still the same.
	if again, err := d.PID(id); err != nil || again != pid {
		f.Close()
		return nil, fmt.Errorf("container %s does not run", id)
	}
	return f, nil
}

// List returns the instances that have a folder, running or not.
func (d *Driver) List() ([]cloud.ServerID, error) {
	entries, err := os.ReadDir(d.config.Dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var ids []cloud.ServerID
	for _, e := range entries {
		if e.IsDir() && cloud.IsUUID(e.Name()) {
			ids = append(ids, cloud.ServerID(e.Name()))
		}
	}
	return ids, nil
}

// folder returns the instance's folder. An id that is no UUID is refused: it
// becomes a file name.
func (d *Driver) folder(id cloud.ServerID) (string, error) {
	if !cloud.IsUUID(string(id)) {
		return "", fmt.Errorf("instance id %q is not a UUID", id)
	}
	return filepath.Join(d.config.Dir, string(id)), nil
}
