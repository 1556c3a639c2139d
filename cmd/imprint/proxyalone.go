package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"

	"golang.org/x/sys/unix"

	"imprint/base/daemon"
	"imprint/host/nsproxy"
)

// aloneWorker is what this binary is started again as by `imprint proxy`: the
// process that serves. Its id is the key's, so that who looks for the router's
// or network's id in its command line finds it there.
const aloneWorker = "worker-proxy-alone"

// Descriptors that the worker is given.
const (
	aloneReadyFD  = 3 // a byte here says that it serves
	alonePidFD    = 4 // its process id goes here
	aloneListenFD = 5 // and the following
)

// aloneProxy starts a proxy of one namespace.
type aloneProxy struct {
	key         string
	who         account
	agentSocket string
	port        uint16
	pidFile     string // "" for none
	log         *os.File
	level       string
	foreground  bool
}

// start runs the worker until it serves, or, in the foreground, until it ends.
func (a aloneProxy) start(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("needs root: it gives its privileges up itself")
	}
	pid, err := a.openPidFile()
	if err != nil {
		return err
	}
	defer pid.Close()
	listeners, err := nsproxy.Listen(ctx, a.key, a.port)
	if err != nil {
		return fmt.Errorf("listen for %s: %w", a.key, err)
	}
	defer closeFiles(listeners)
	if a.pidFile != "" { // not earlier: who serves the address may have written it
		if err := pid.Truncate(0); err != nil {
			return err
		}
	}
	ready, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	ctx, _, stop := daemon.Signals(ctx)
	defer stop()
	ctx, detach := context.WithCancelCause(ctx)
	defer detach(nil)
	ended := make(chan error, 1)
	go func() {
		ended <- daemon.Spawn(ctx, daemon.Command{
			Args: workerArgs(aloneWorker, logSetup{a.level, "text"}, a.key, a.agentSocket),
			UID:  a.who.uid, GID: a.who.gid, Log: a.log, Grace: workerGrace,
			Files: append([]*os.File{tell, pid}, listeners...),
			Keep:  func() bool { return errors.Is(context.Cause(ctx), errDetached) },
		})
	}()
	served := make(chan struct{})
	go func() {
		if n, _ := ready.Read(make([]byte, 1)); n == 1 {
			close(served)
		}
	}()
	return a.await(detach, tell, served, ended)
}

var errDetached = errors.New("it goes on alone")

// await returns when the worker serves on its own, or has ended.
func (a aloneProxy) await(detach context.CancelCauseFunc, tell *os.File, served <-chan struct{}, ended <-chan error) error {
	defer tell.Close()
	select {
	case err := <-ended:
		return a.failure(err)
	case <-served:
	}
	if !a.foreground {
		detach(errDetached)
	}
	return a.failure(<-ended)
}

func (a aloneProxy) failure(err error) error {
	if err == nil || errors.Is(err, daemon.ErrStop) {
		return nil
	}
	return fmt.Errorf("proxy of %s: %w", a.key, err)
}

// openPidFile opens the file and locks it for as long as the worker has it
// open. Without one it is /dev/null.
func (a aloneProxy) openPidFile() (*os.File, error) {
	if a.pidFile == "" {
		return os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	f, err := os.OpenFile(a.pidFile, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: a proxy is running already: %w", a.pidFile, err)
	}
	return f, nil
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// runAlone is the worker; its own arguments are key and agent socket.
func runAlone(ctx context.Context, args []string, log *slog.Logger) error {
	if len(args) != 2 {
		return fmt.Errorf("the proxy wants a key and the agent's socket, got %q", args)
	}
	signal.Ignore(unix.SIGPIPE)
	pid, ready := os.NewFile(alonePidFD, "pid file"), os.NewFile(aloneReadyFD, "readiness")
	defer pid.Close() // until then it is locked
	if _, err := pid.WriteString(strconv.Itoa(os.Getpid())); err != nil {
		return fmt.Errorf("write the process id: %w", err)
	}
	return nsproxy.RunAlone(ctx, args[0], inheritedFiles(aloneListenFD), args[1], log, func() {
		ready.Write([]byte{1}) // who waited may be gone
		ready.Close()
	})
}

// inheritedFiles are the sockets at descriptor first and those after it.
func inheritedFiles(first uintptr) []*os.File {
	var files []*os.File
	for fd := first; fd < first+daemon.MaxFiles; fd++ {
		kind, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		if err != nil || kind == 0 {
			break
		}
		files = append(files, os.NewFile(fd, "listener"))
	}
	return files
}
