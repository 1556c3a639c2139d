package container

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// shim is the privileged process above an instance.
type shim struct {
	spec    spec
	driver  link
	folder  string   // the instance's folder as this process sees it
	layers  []string // mounts that are needed until the root is made
	groups  *cgroups
	drive   *os.File // mount of the config drive until it is attached
	ifup    bool     // the tree brings its network up by ifupdown
	console *console
	init    *exec.Cmd
	guest   link // to init
	record  record
}

// shimMain serves one instance from its creation to its end. What goes wrong
// before the boot is told to the driver; its exit status tells nothing.
func shimMain() int {
	unix.Umask(0o022)
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGPIPE)
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, unix.SIGTERM)
	s := &shim{driver: openLink(linkFD)}
	if err := s.start(); err != nil {
		s.takeBack()
		s.driver.send(message{Kind: msgFailed, Text: err.Error()})
		return 1
	}
	s.driver.close()
	s.serve(terminate)
	return 0
}

func (s *shim) start() error {
	if err := closeInherited(); err != nil {
		return err
	}
	m, err := s.driver.expect(msgSpec)
	if err != nil {
		return err
	}
	s.spec = *m.Spec
	if s.record.Shim, err = identify(os.Getpid()); err != nil {
		return err
	}
	if s.groups, err = openCgroups(s.spec.Cgroup); err != nil {
		return err
	}
	if err := s.groups.create(string(s.spec.ID), s.spec.RAM, s.spec.PIDs); err != nil {
		return err
	}
	pty, err := s.buildRoot()
	if err != nil {
		return err
	}
	defer pty.slave.Close()
	if s.console, err = newConsole(pty.master, filepath.Join(s.folder, consoleFile)); err != nil {
		return err
	}
	if err := s.startInit(pty.slave); err != nil {
		return err
	}
	return s.boot()
}

// startInit starts the instance's first process in its namespaces and waits
// until it has confined itself.
func (s *shim) startInit(tty *os.File) error {
	l, theirs, err := newLinks()
	if err != nil {
		return err
	}
	defer theirs.Close()
	s.guest = l
	cmd := exec.Command("/proc/self/exe", enterCommand)
	cmd.Args[0] = "init"
	cmd.Dir = "/"
	cmd.Env = []string{"GOMAXPROCS=1"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid: true,
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID |
			unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		UidMappings:                idMap(s.spec.UIDs),
		GidMappings:                idMap(s.spec.UIDs),
		GidMappingsEnableSetgroups: true,
		Credential:                 &syscall.Credential{},
	}
	err = cmd.Start()
	if errors.Is(err, os.ErrNotExist) {
		return errors.New("start init: this program was not linked statically (CGO_ENABLED=0)")
	}
	if err != nil {
		return fmt.Errorf("make namespaces: %w", err)
	}
	s.init = cmd
	if s.record.Init, err = identify(cmd.Process.Pid); err != nil {
		return err
	}
	// For its control group namespace to be rooted there, it waits for this.
	if err := s.groups.add(string(s.spec.ID), cmd.Process.Pid); err != nil {
		return err
	}
	if err := l.send(message{Kind: msgEnter, Boot: s.bootOrder()}); err != nil {
		return err
	}
	if _, err := l.expect(msgReady); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	return nil
}

// boot lets the driver plug the network and the init go on.
func (s *shim) boot() error {
	if err := s.driver.send(message{Kind: msgCreated, PID: s.init.Process.Pid}); err != nil {
		return err
	}
	if _, err := s.driver.expect(msgGo); err != nil {
		return err
	}
	s.record.State = State{Phase: Booting, Boots: s.spec.Boots, StartedAt: time.Now().UTC()}
	if err := s.record.write(s.folder); err != nil {
		return err
	}
	if err := s.guest.send(message{Kind: msgBoot, Boot: s.bootOrder()}); err != nil {
		return err
	}
	return s.driver.send(message{Kind: msgStarted})
}

// takeBack undoes a start that failed.
func (s *shim) takeBack() {
	if s.init != nil {
		s.init.Process.Kill()
		s.init.Wait()
	}
	if s.groups != nil {
		s.groups.remove(string(s.spec.ID))
	}
	if s.record.Phase == Booting {
		s.record.Phase, s.record.Exit, s.record.ExitedAt = Exited, "not started", time.Now().UTC()
		s.record.write(s.folder)
	}
}

// serve writes down what the init tells until it ends, and clears up.
func (s *shim) serve(terminate <-chan os.Signal) {
	told := make(chan message)
	go func() {
		defer close(told)
		for {
			m, err := s.guest.receive()
			if err != nil {
				return
			}
			told <- m
		}
	}()
	for open := true; open; {
		var m message
		select {
		case m, open = <-told:
			s.note(m)
		case <-terminate:
			s.init.Process.Signal(unix.SIGTERM)
		}
	}
	// The link ends with the init, or it is of no use any more.
	go func() {
		for range terminate {
			s.init.Process.Signal(unix.SIGTERM)
		}
	}()
	s.exited(s.init.Wait())
}

// maxCommands bounds what a record tells of a boot.
const maxCommands = 16

// note keeps what the init told. It is believed for nothing but this record.
func (s *shim) note(m message) {
	switch {
	case m.Kind == msgCommand && m.Command != nil && s.record.Phase == Booting && len(s.record.Commands) < maxCommands:
		s.record.Commands = append(s.record.Commands, *m.Command)
	case m.Kind == msgBooted && s.record.Phase == Booting:
		s.record.Phase, s.record.BootedAt = Running, time.Now().UTC()
	default:
		return
	}
	s.complain(s.record.write(s.folder))
}

func (s *shim) exited(err error) {
	s.console.drain()
	s.complain(s.groups.remove(string(s.spec.ID)))
	s.record.Phase, s.record.Exit, s.record.ExitedAt = Exited, exitText(err), time.Now().UTC()
	s.complain(s.record.write(s.folder))
}

func exitText(err error) string {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		if err != nil {
			return err.Error()
		}
		return "0"
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Exited() {
		return strconv.Itoa(status.ExitStatus())
	}
	return exit.Error()
}

// complain writes to the shim's log: nobody else is there to be told.
func (s *shim) complain(err error) {
	if err != nil && !errors.Is(err, io.EOF) {
		fmt.Fprintf(os.Stderr, "%s %s: %v\n", time.Now().UTC().Format(time.RFC3339), s.spec.ID, err)
	}
}
