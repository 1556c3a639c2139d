package main

import (
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

// withBoot opens the system and hands its stages to work.
func (p *program) withBoot(wait patience, work func(*stage.Boot) int) int {
	return p.withRoot(func(root *rootfs.Root) int {
		adm, _ := distro.New(distro.Distro{Root: root}).GroupID("adm")
		file, err := openLog(root, clouddir.LogFile, adm)
		if err != nil {
			return p.fail(fmt.Errorf("open log: %w", err))
		}
		defer file.Close()
		out := &redirection{root: root, adm: adm}
		defer out.end()
		console, close := openConsole(p.dir)
		defer close()
		b := p.newBoot(root, wait, file, console)
		b.Redirect = out.begin
		return work(b)
	})
}

func (p *program) newBoot(root *rootfs.Root, wait patience, file *os.File, console io.Writer) *stage.Boot {
	journal := clouddir.NewLog(file, p.err)
	log := slog.New(journal)
	configs := &stage.Configs{Root: root, Files: p.files}
	config, err := configs.System()
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
		Absent:  absentModules(),
		Configs: configs,
		Render:  templates(),
		Patch:   patches(),
		Journal: journal,
		Log:     log,
		Output:  p.out,
		Errors:  p.err,
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
