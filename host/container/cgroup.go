package container

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cgroups is what limits memory and processes of instances: one hierarchy of
// version 2, or two of version 1, with a group of the same name in each.
// It works on descriptors, so the hierarchies need not stay mounted.
type cgroups struct {
	parent      string
	hierarchies []hierarchy
}

type hierarchy struct {
	root    *os.Root
	unified bool
	memory  bool
	pids    bool
}

// openCgroups finds the hierarchies with the controllers memory and pids.
func openCgroups(parent string) (*cgroups, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("find control groups: %w", err)
	}
	c := &cgroups{parent: parent}
	var memory, pids bool
	for _, m := range cgroupMounts(string(text)) {
		h := hierarchy{unified: m.unified, memory: m.has("memory") && !memory, pids: m.has("pids") && !pids}
		if !h.memory && !h.pids {
			continue
		}
		if h.root, err = os.OpenRoot(m.dir); err != nil {
			c.close()
			return nil, fmt.Errorf("open control groups: %w", err)
		}
		memory, pids = memory || h.memory, pids || h.pids
		c.hierarchies = append(c.hierarchies, h)
	}
	if !memory || !pids {
		c.close()
		return nil, errors.New("this machine has no mounted control groups with the controllers memory and pids")
	}
	return c, nil
}

func (c *cgroups) close() {
	for _, h := range c.hierarchies {
		h.root.Close()
	}
}

type cgroupMount struct {
	dir         string
	unified     bool
	controllers []string
}

func (m cgroupMount) has(controller string) bool { return slices.Contains(m.controllers, controller) }

// cgroupMounts reads the text of /proc/PID/mountinfo. proc(5)
func cgroupMounts(text string) []cgroupMount {
	var list []cgroupMount
	for line := range strings.Lines(text) {
		before, after, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(g) < 3 {
			continue
		}
		switch g[0] {
		case "cgroup":
			list = append(list, cgroupMount{dir: f[4], controllers: strings.Split(g[2], ",")})
		case "cgroup2":
			controllers, _ := os.ReadFile(path.Join(f[4], "cgroup.controllers"))
			list = append(list, cgroupMount{dir: f[4], unified: true, controllers: strings.Fields(string(controllers))})
		}
	}
	return list
}

// create makes the group name with limits.
func (c *cgroups) create(name string, memory int64, pids int) error {
	for _, h := range c.hierarchies {
		if err := h.create(c.parent, name); err != nil {
			return fmt.Errorf("make control group %s/%s: %w", c.parent, name, err)
		}
		if err := h.limit(path.Join(c.parent, name), memory, pids); err != nil {
			return fmt.Errorf("limit control group %s/%s: %w", c.parent, name, err)
		}
	}
	return nil
}

func (h hierarchy) create(parent, name string) error {
	var err error
	// The parent goes with its last child, which may be at this very moment.
	for range 100 {
		if err = h.root.Mkdir(parent, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if h.unified {
			h.write("cgroup.subtree_control", h.enable()) // it may be set, and locked, already
			if err = h.write(path.Join(parent, "cgroup.subtree_control"), h.enable()); err != nil {
				continue
			}
		}
		if err = h.root.Mkdir(path.Join(parent, name), 0o755); err == nil || !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// enable is what makes the controllers of a hierarchy of version 2 available
// to the groups below.
func (h hierarchy) enable() string {
	var list []string
	if h.memory {
		list = append(list, "+memory")
	}
	if h.pids {
		list = append(list, "+pids")
	}
	return strings.Join(list, " ")
}

// limit sets bytes of memory, swap included, and a number of processes.
// Linux: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst, pids.rst
func (h hierarchy) limit(group string, memory int64, pids int) error {
	bytes := strconv.FormatInt(memory, 10)
	if h.pids {
		if err := h.write(path.Join(group, "pids.max"), strconv.Itoa(pids)); err != nil {
			return err
		}
	}
	if !h.memory {
		return nil
	}
	limit, swap, swapLimit := "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", bytes
	if h.unified {
		limit, swap, swapLimit = "memory.max", "memory.swap.max", "0"
	}
	if err := h.write(path.Join(group, limit), bytes); err != nil {
		return err
	}
	// Without accounting of swap the file is not there.
	if err := h.write(path.Join(group, swap), swapLimit); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// add moves process pid into the group name.
func (c *cgroups) add(name string, pid int) error {
	for _, h := range c.hierarchies {
		if err := h.write(path.Join(c.parent, name, "cgroup.procs"), strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("enter control group %s/%s: %w", c.parent, name, err)
		}
	}
	return nil
}

// remove removes the group name, whose processes have been killed, and the
// parent after its last child.
func (c *cgroups) remove(name string) error {
	for _, h := range c.hierarchies {
		if err := h.remove(path.Join(c.parent, name)); err != nil {
			return fmt.Errorf("remove control group %s/%s: %w", c.parent, name, err)
		}
		h.root.Remove(c.parent)
	}
	return nil
}

// remove waits a little for processes that are dead and still counted: there
// is no event for their end in version 1.
func (h hierarchy) remove(group string) error {
	var err error
	for range 200 {
		err = h.root.Remove(group)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, syscall.EBUSY) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return err
}

// write writes a control file, which is never created.
func (h hierarchy) write(name, value string) error {
	f, err := h.root.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}
