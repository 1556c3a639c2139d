package container

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"imprint/host/cloud"
)

func TestMain(m *testing.M) {
	if IsShim(os.Args) {
		os.Exit(ShimMain(os.Args))
	}
	if filepath.Base(os.Args[0]) == "cloud-init" {
		os.Exit(probeMain(os.Args))
	}
	if len(os.Args) == 6 && os.Args[1] == "start-container" {
		os.Exit(startContainer(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// lab is a driver with one instance, which is gone when the test ends.
type lab struct {
	*testing.T
	ctx    context.Context
	driver *Driver
	inst   cloud.DesiredInstance
	tree   string
}

// newLab needs root. An instance has 256 MiB and 128 processes.
func newLab(t *testing.T, tree string) *lab {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	id := cloud.ServerID(cloud.NewUUID())
	l := &lab{
		T: t, ctx: ctx, tree: tree,
		driver: New(Config{Dir: filepath.Join(t.TempDir(), "instances"), MaxProcesses: 128, Cgroup: "imprint-test-" + string(id[:8])}),
		inst:   cloud.DesiredInstance{ID: id, RAM: 256},
	}
	t.Cleanup(func() {
		defer cancel()
		if t.Failed() {
			l.dump()
		}
		if err := l.driver.Destroy(ctx, id); err != nil {
			t.Errorf("destroy: %v", err)
		}
		l.nothingLeft()
	})
	return l
}

func (l *lab) dir() string { return filepath.Join(l.driver.config.Dir, string(l.inst.ID)) }

func (l *lab) dump() {
	for _, name := range []string{"shim.log", "console.log", "shim.json"} {
		text, _ := os.ReadFile(filepath.Join(l.dir(), name))
		l.Logf("%s:\n%s", name, text)
	}
}

func (l *lab) start() {
	l.Helper()
	if err := l.driver.Start(l.ctx, l.inst, l.tree, func(*os.File) error { return nil }); err != nil {
		l.Fatal(err)
	}
}

// boot starts the instance and waits for the end of its boot.
func (l *lab) boot() State {
	l.Helper()
	l.start()
	st, err := l.driver.Await(l.ctx, l.inst.ID, func(st State) bool { return st.Phase != Booting })
	if err != nil || st.Phase != Running {
		l.Fatalf("boot: state %+v, %v", st, err)
	}
	return st
}

func (l *lab) console() string {
	l.Helper()
	text, err := os.ReadFile(filepath.Join(l.dir(), "console.log"))
	if err != nil {
		l.Fatal(err)
	}
	return string(text)
}

// nothingLeft fails the test if the machine still has a part of the instance.
func (l *lab) nothingLeft() {
	l.Helper()
	if _, err := os.Lstat(l.dir()); err == nil {
		l.Errorf("folder %s is left", l.dir())
	}
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/" + l.driver.config.Cgroup)
	more, _ := filepath.Glob("/sys/fs/cgroup/" + l.driver.config.Cgroup)
	if all := append(groups, more...); len(all) > 0 {
		l.Errorf("control groups are left: %v", all)
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	if strings.Contains(string(mounts), string(l.inst.ID)) {
		l.Error("a mount is left")
	}
	processes, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range processes {
		if text, _ := os.ReadFile(name); strings.Contains(string(text), string(l.inst.ID)) {
			l.Errorf("process is left: %q", text)
		}
	}
}

// script makes a tree of this machine's programs whose cloud-init is a shell
// script: its first argument tells the stage.
func script(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "guest")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestBoot(t *testing.T) {
	l := newLab(t, HostTree)
	l.driver.config.Guest = script(t, `echo "stage $*"; test "$1 $2" = "init --local" && exit 3; exit 0`)
	st := l.boot()
	var got []string
	for _, c := range st.Commands {
		got = append(got, fmt.Sprintf("%s %d", c.Name, c.Exit))
	}
	if s := strings.Join(got, ", "); s != "init-local 3, init 0, modules-config 0, modules-final 0" {
		t.Errorf("commands: %s", s)
	}
	if c := l.console(); !strings.Contains(c, "\nstage modules --mode=final\n") || !strings.Contains(c, "\nlocalhost login: ") {
		t.Errorf("console:\n%s", c)
	}
	l.stop(10 * time.Second)
	if st, err := l.driver.State(l.inst.ID); err != nil || st.Phase != Exited || st.Exit != "0" {
		t.Errorf("after stop: %+v, %v", st, err)
	}
	if !strings.HasSuffix(l.console(), "init: halting\ninit: halted\n") {
		t.Errorf("console:\n%s", l.console())
	}
}

// A reboot keeps the disk and the users, and nothing else.
func TestRebootKeepsDisk(t *testing.T) {
	l := newLab(t, HostTree)
	l.driver.config.Guest = script(t, `
case "$*" in
"init --local") for f in /root/mark /run/mark /tmp/mark; do test -e $f && echo "found $f"; touch $f; done;;
init) hostname guest-name; echo guest-name >/etc/hostname;;
esac; exit 0`)
	l.boot()
	if strings.Contains(l.console(), "found") {
		t.Errorf("first boot:\n%s", l.console())
	}
	owner := l.owner("disk/upper/root/mark")
	if owner < firstRange*idCount {
		t.Errorf("root's file belongs to user %d of the machine", owner)
	}
	l.stop(time.Second)
	if st := l.boot(); st.Boots != 2 {
		t.Errorf("boots: %d", st.Boots)
	}
	if c := l.console(); strings.Count(c, "found") != 1 || !strings.Contains(c, "found /root/mark\n") {
		t.Errorf("second boot:\n%s", c)
	}
	if again := l.owner("disk/upper/root/mark"); again != owner {
		t.Errorf("root was user %d and is %d", owner, again)
	}
}

func (l *lab) owner(name string) uint32 {
	l.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(l.dir(), name), &st); err != nil {
		l.Fatal(err)
	}
	return st.Uid
}

func (l *lab) stop(grace time.Duration) {
	l.Helper()
	if err := l.driver.Stop(l.ctx, l.inst.ID, grace); err != nil {
		l.Fatal(err)
	}
}

// What ignores SIGTERM is killed, and Stop with grace 0 asks nobody.
func TestStopByForce(t *testing.T) {
	for _, grace := range []time.Duration{0, 500 * time.Millisecond} {
		t.Run(grace.String(), func(t *testing.T) {
			l := newLab(t, HostTree)
			l.driver.config.Guest = script(t, `trap "" TERM; echo armed; while :; do sleep 100; done`)
			l.start()
			l.await("script", func() bool { return strings.Contains(l.console(), "armed") })
			began := time.Now()
			l.stop(grace)
			if took := time.Since(began); took > grace+20*time.Second {
				t.Errorf("took %v", took)
			}
			if st, _ := l.driver.State(l.inst.ID); st.Exit != "signal: killed" {
				t.Errorf("state %+v", st)
			}
		})
	}
}

// await returns when ok does.
func (l *lab) await(what string, ok func() bool) {
	l.Helper()
	for !ok() {
		select {
		case <-l.ctx.Done():
			l.Fatalf("%s: %v", what, l.ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// The shim outlives the process that started it, and another driver finds it.
func TestAdoption(t *testing.T) {
	l := newLab(t, HostTree)
	l.driver.config.Guest = script(t, "exit 0")
	agent := exec.Command("/proc/self/exe", "start-container", l.dir(), string(l.inst.ID), l.driver.config.Cgroup, l.driver.config.Guest)
	agent.Stderr = os.Stderr
	out, err := agent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "started\n" {
		t.Fatalf("agent said %q, %v", line, err)
	}
	agent.Process.Kill()
	agent.Wait()
	if now, _, err := l.driver.Status(l.inst.ID); err != nil || now != cloud.InstanceActive {
		t.Fatalf("status %s, %v", now, err)
	}
	if err := l.driver.Start(l.ctx, l.inst, HostTree, nil); err == nil {
		t.Error("started twice")
	}
	exited := make(chan error, 1)
	go func() { exited <- l.driver.Exited(l.ctx, l.inst.ID) }()
	l.stop(5 * time.Second)
	if err := <-exited; err != nil {
		t.Error(err)
	}
}

// startContainer is the agent of TestAdoption.
func startContainer(args []string) int {
	d := New(Config{Dir: filepath.Dir(args[0]), Cgroup: args[2], Guest: args[3]})
	inst := cloud.DesiredInstance{ID: cloud.ServerID(args[1]), RAM: 128}
	if err := d.Start(context.Background(), inst, HostTree, func(*os.File) error { return nil }); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("started")
	select {}
}

// Without its shim an instance does not go on.
func TestShimKilled(t *testing.T) {
	l := newLab(t, HostTree)
	l.driver.config.Guest = script(t, "exit 0")
	l.boot()
	rec, err := readRecord(l.dir())
	if err != nil {
		t.Fatal(err)
	}
	init, err := rec.Init.open()
	if err != nil || init == nil {
		t.Fatal(init, err)
	}
	defer init.Close()
	if err := rec.Shim.kill(); err != nil {
		t.Fatal(err)
	}
	if err := l.driver.Exited(l.ctx, l.inst.ID); err != nil {
		t.Fatal(err)
	}
	if err := readable(l.ctx, init); err != nil {
		t.Errorf("init goes on: %v", err)
	}
	if now, _, err := l.driver.Status(l.inst.ID); err != nil || now != cloud.InstanceError {
		t.Errorf("status %s, %v", now, err)
	}
	l.boot()
}

func TestStartFails(t *testing.T) {
	l := newLab(t, HostTree)
	l.driver.config.Guest = script(t, "exit 0")
	refused := errors.New("no network today")
	err := l.driver.Start(l.ctx, l.inst, HostTree, func(*os.File) error { return refused })
	if !errors.Is(err, refused) {
		t.Errorf("plug fails: %v", err)
	}
	ctx, cancel := context.WithCancel(l.ctx)
	err = l.driver.Start(ctx, l.inst, HostTree, func(*os.File) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	err = l.driver.Start(l.ctx, l.inst, "/nowhere", nil)
	if err == nil || !strings.Contains(err.Error(), "/nowhere") {
		t.Errorf("no tree: %v", err)
	}
	bad := l.inst
	bad.ID = "../../etc"
	if err := l.driver.Start(l.ctx, bad, HostTree, nil); err == nil {
		t.Error("strange id accepted")
	}
	if now, _, _ := l.driver.Status(l.inst.ID); now == cloud.InstanceActive {
		t.Error("it runs")
	}
}
