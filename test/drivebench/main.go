// Program drivebench measures how a config drive is made beside how Nova makes
// it, in one run: the documents of a captured instance, built in this process
// to a file as a host does it at a launch, against one run of genisoimage, or of
// mkfs.vfat and mcopy, over the same files.
//
// The last lines are "NAME: ratio R (goal G)" of the medians of wall time.
package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"imprint/base/openstack"
	"imprint/host/configdrive"
)

const (
	runs = 31 // of each, in turn; the median counts
	goal = 0.15
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: drivebench INSTANCES.json IMPRINT")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "drivebench:", err)
		os.Exit(1)
	}
}

func run(instances, program string) error {
	c3, err := captured(instances, "c3")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "drivebench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := bench{dir: dir, program: program, instance: c3}
	if err := b.prepare(); err != nil {
		return err
	}
	if err := b.large(); err != nil {
		return err
	}
	var lines []string
	for _, side := range []struct {
		name   string
		format configdrive.Format
		peer   func() (cost, error)
	}{
		{"configdrive-iso-vs-genisoimage", configdrive.ISO9660, b.genisoimage},
		{"configdrive-vfat-vs-mkfs-mcopy", configdrive.VFAT, b.mkfsAndMcopy},
	} {
		ratio, err := b.compare(side.format, side.peer)
		if err != nil {
			return err
		}
		lines = append(lines, fmt.Sprintf("%s: ratio %.3f (goal %.2f)", side.name, ratio, goal))
	}
	for _, l := range lines {
		fmt.Println(l)
	}
	return nil
}

// captured returns an instance of the list in the file name.
func captured(name, wanted string) (*openstack.Instance, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var all []*openstack.Instance
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, i := range all {
		if i.Name == wanted {
			return i, nil
		}
	}
	return nil, fmt.Errorf("%s has no instance %s", name, wanted)
}

type bench struct {
	dir, program string
	instance     *openstack.Instance
}

func (b bench) path(name string) string { return filepath.Join(b.dir, name) }

// prepare writes the documents as files, which Nova does before it runs the
// tools, and the instance's description.
func (b bench) prepare() error {
	files, err := b.instance.Drive(zeros{}, openstack.DriveSkips())
	if err != nil {
		return err
	}
	for _, f := range files {
		name := b.path("tree/" + f.Path)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, f.Body, 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(b.path("instance.json"), b.instance.Encode(), 0o600)
}

// cost is what one building took.
type cost struct{ wall, cpu time.Duration }

// compare measures ours, the peer and our whole process in turn, and prints the
// medians.
func (b bench) compare(format configdrive.Format, peer func() (cost, error)) (ratio float64, err error) {
	ways := []struct {
		name string
		run  func() (cost, error)
		seen []cost
	}{
		{name: "in process", run: func() (cost, error) { return b.ours(format, false) }},
		{name: "peer", run: peer},
		{name: "in process, synced", run: func() (cost, error) { return b.ours(format, true) }},
		{name: "imprint configdrive make", run: func() (cost, error) {
			return command(b.program, "configdrive", "make", b.path("instance.json"), "-o", b.path("made"), "--format", string(format))
		}},
		{name: "imprint --version (start)", run: func() (cost, error) { return command(b.program, "--version") }},
	}
	for n := range runs + 1 {
		for i := range ways {
			c, err := ways[i].run()
			if err != nil {
				return 0, err
			}
			if n > 0 { // the first warms up
				ways[i].seen = append(ways[i].seen, c)
			}
		}
	}
	for _, w := range ways {
		m := median(w.seen)
		fmt.Printf("%-8s %-26s wall %8.2f ms, CPU %8.2f ms\n", format, w.name, ms(m.wall), ms(m.cpu))
	}
	return float64(median(ways[0].seen).wall) / float64(median(ways[1].seen).wall), nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func median(seen []cost) cost {
	walls, cpus := slices.Clone(seen), slices.Clone(seen)
	slices.SortFunc(walls, func(a, b cost) int { return cmp.Compare(a.wall, b.wall) })
	slices.SortFunc(cpus, func(a, b cost) int { return cmp.Compare(a.cpu, b.cpu) })
	return cost{walls[len(walls)/2].wall, cpus[len(cpus)/2].cpu}
}

// ours builds the drive in this process.
func (b bench) ours(format configdrive.Format, synced bool) (cost, error) {
	if err := os.RemoveAll(b.path("disk.config")); err != nil {
		return cost{}, err // at a launch there is none yet
	}
	before, err := used()
	if err != nil {
		return cost{}, err
	}
	start := time.Now()
	v := configdrive.Volume{Format: format, Publisher: "Imprint", Created: start}
	v.Sync = synced
	if err := v.WriteFile(b.path("disk.config"), b.instance); err != nil {
		return cost{}, err
	}
	wall := time.Since(start)
	after, err := used()
	return cost{wall, after - before}, err
}

// used is the CPU time of this process.
func used() (time.Duration, error) {
	var r syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()), err
}

// command runs a program to its end.
func command(name string, args ...string) (cost, error) {
	cmd := exec.Command(name, args...)
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return cost{}, fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return cost{time.Since(start), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}, nil
}

// genisoimage runs it as Nova does (nova: virt/configdrive.py, _make_iso9660).
func (b bench) genisoimage() (cost, error) {
	if err := os.RemoveAll(b.path("peer.iso")); err != nil {
		return cost{}, err
	}
	return command("genisoimage", "-o", b.path("peer.iso"), "-ldots", "-allow-lowercase", "-allow-multidot", "-l",
		"-publisher", "OpenStack Nova 26.2.2", "-quiet", "-J", "-r", "-V", "config-2", b.path("tree"))
}

// mkfsAndMcopy makes the volume of 64 MiB as Nova does (nova:
// virt/configdrive.py, _make_vfat), with mcopy for its mount.
func (b bench) mkfsAndMcopy() (cost, error) {
	name := b.path("peer.vfat")
	if err := os.RemoveAll(name); err != nil {
		return cost{}, err
	}
	start := time.Now()
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		return cost{}, err
	}
	if err := os.Truncate(name, 64<<20); err != nil {
		return cost{}, err
	}
	mkfs, err := command("/usr/sbin/mkfs.vfat", "-n", "config-2", name)
	if err != nil {
		return cost{}, err
	}
	mcopy, err := command("mcopy", "-s", "-i", name, b.path("tree/ec2"), b.path("tree/openstack"), "::")
	return cost{time.Since(start), mkfs.cpu + mcopy.cpu}, err
}

// large has the program write a file of 100 MB, and prints what memory it took.
func (b bench) large() error {
	tree := b.path("large")
	if err := os.MkdirAll(tree, 0o755); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(tree, "user-data"))
	if err != nil {
		return err
	}
	if _, err := io.CopyN(f, zeros{}, 100_000_000); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	for _, format := range []configdrive.Format{configdrive.ISO9660, configdrive.VFAT} {
		cmd := exec.Command(b.program, "configdrive", "make", tree, "-o", b.path("made"), "--format", string(format))
		start := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		most := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss
		fmt.Printf("%-8s 100 MB file: wall %.0f ms, most memory %d MiB\n", format, ms(time.Since(start)), most>>10)
	}
	return nil
}

// zeros is a source of zeros.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
