package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"

	"imprint/base/rootfs"
	"imprint/guest/clouddir"
	"imprint/guest/distro"
	"imprint/guest/netapply"
	"imprint/guest/stage"
)

// withBoot opens the system in dir, hands its stages to work, and prints the
// errors of it.
func withBoot(dir string, stderr io.Writer, wait patience, work func(*stage.Boot) []string) error {
	root, err := rootfs.Open(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	adm, _ := distro.New(distro.Distro{Root: root}).GroupID("adm")
	file, err := openLog(root, clouddir.LogFile, adm)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer file.Close()
	out, err := teeOutput(root, adm)
	if err != nil {
		return err
	}
	defer out.finish()
	console, close := openConsole(dir)
	defer close()
	b := newBoot(root, wait, file, out.File, console)
	if errs := work(b); len(errs) > 0 {
		for _, e := range errs {
			fmt.Fprintf(stderr, "error: %s\n", e)
		}
		return errFailed
	}
	return nil
}

func newBoot(root *rootfs.Root, wait patience, file, out *os.File, console io.Writer) *stage.Boot {
	config, err := stage.SystemConfig(root)
	journal := clouddir.NewLog(file, out)
	log := slog.New(journal)
	if err != nil {
		log.Warn(err.Error())
	}
	system := distro.New(distro.Distro{Root: root, Version: version, Log: log})
	network, asked := stage.Network(stage.NoNetwork{}), localSources(config)
	if system.Running() {
		network = &netapply.Applier{Root: root, Wait: wait.lease, Log: log.With(clouddir.Component, "dhcp.py")}
		asked = sources(config, wait.service, log)
	}
	return &stage.Boot{
		Root:    root,
		Dir:     clouddir.New(root, nil),
		Distro:  system,
		Sources: asked,
		Network: network,
		Init:    initModules(),
		Config:  configModules(),
		Final:   finalModules(),
		Journal: journal,
		Log:     log,
		Output:  out,
		Console: console,
		Version: version,
		Now:     time.Now,
		Uptime:  uptime,
	}
}

// patience is how long a stage waits for a network and a service that do not
// answer.
type patience struct {
	lease   time.Duration // one DHCP lease
	service time.Duration // the metadata service, if there is a network
}

// The two stages that wait take less than ten seconds together.
func localPatience() patience   { return patience{lease: 4 * time.Second, service: time.Second} }
func networkPatience() patience { return patience{lease: 2 * time.Second, service: 2 * time.Second} }

// openConsole opens the console of the running system for writing.
func openConsole(dir string) (io.Writer, func()) {
	if path.Clean(dir) != "/" {
		return io.Discard, func() {}
	}
	f, err := os.OpenFile("/dev/console", os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return io.Discard, func() {}
	}
	return f, func() { f.Close() }
}

// uptime is the time since the kernel started.
func uptime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// errorsOf makes one error the errors of a stage.
func errorsOf(err error) []string {
	if err == nil {
		return nil
	}
	if errors.Is(err, stage.ErrUnknownModule) {
		return []string{err.Error() + "; known are: " + moduleNames()}
	}
	return []string{err.Error()}
}
