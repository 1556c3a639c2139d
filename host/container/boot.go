package container

import (
	"errors"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// bootCommands are cloud-init's services in their order, with what comes
// between them on Debian (cloud-init: systemd/*.service and
// systemd/cloud-init-generator, 22.4). One whose program is not there is left
// out.
var bootCommands = []struct {
	name string
	argv []string
	ifup bool // only for trees that use ifupdown
	ssh  bool // the SSH server comes after it
}{
	{name: "ds-identify", argv: []string{"/usr/lib/cloud-init/ds-identify"}},
	{name: "init-local", argv: []string{"/usr/bin/cloud-init", "init", "--local"}},
	{name: "ifup", argv: []string{"/usr/sbin/ifup", "-a"}, ifup: true},
	{name: "init", argv: []string{"/usr/bin/cloud-init", "init"}, ssh: true},
	{name: "modules-config", argv: []string{"/usr/bin/cloud-init", "modules", "--mode=config"}, ssh: true},
	{name: "modules-final", argv: []string{"/usr/bin/cloud-init", "modules", "--mode=final"}, ssh: true},
}

// boot runs the boot commands, one after the other, and tells of each.
func (in *initProcess) boot(b boot) {
	in.say("init: booting instance %s", b.ID)
	for _, c := range bootCommands {
		if c.ifup && !b.Ifup {
			continue
		}
		if _, err := os.Stat(c.argv[0]); err == nil && !in.command(c.name, c.argv) {
			return
		}
		if c.ssh {
			in.ssh.startOrReload(in)
		}
	}
	in.link.send(message{Kind: msgBooted})
	name, _ := os.Hostname()
	in.say("\n%s login: ", name)
}

// command runs one command; false means that the instance halts.
func (in *initProcess) command(name string, argv []string) bool {
	in.say("init: %s", strings.Join(argv, " "))
	began := time.Now()
	done := Command{Name: name, Exit: 127}
	_, ended, err := in.reaper.start(argv...)
	switch {
	case errors.Is(err, errHalting):
		return false
	case err != nil:
		in.say("init: %v", err)
	default:
		done.Exit = exitStatus(<-ended)
	}
	done.Took = time.Since(began).Round(time.Millisecond)
	in.say("init: %s ended with status %d after %v", name, done.Exit, done.Took)
	in.link.send(message{Kind: msgCommand, Command: &done})
	select {
	case <-in.halting:
		return false
	default:
		return true
	}
}

// bootOrder is what the shim tells the init.
func (s *shim) bootOrder() *boot { return &boot{ID: s.spec.ID, Ifup: s.ifup} }

// usesIfup reports whether a tree has ifupdown's file from the start; one that
// the instance wrote itself does not count.
func usesIfup(lower string) bool {
	var st unix.Stat_t
	return unix.Lstat(lower+"/etc/network/interfaces", &st) == nil
}
