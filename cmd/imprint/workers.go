package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"imprint/base/daemon"
	"imprint/host/container"
	"imprint/host/dhcpagent"
	"imprint/host/nsproxy"
)

// The programs that this binary is started again as; they are no commands for
// a user's hand.
const (
	proxyWorker = "worker-proxy"
	dhcpWorker  = "worker-dhcp"
)

// reexec runs what this process was started again as. ours is false when it is
// an ordinary command.
func reexec(args []string) (status int, ours bool) {
	if container.IsShim(args) {
		return container.ShimMain(args), true
	}
	if len(args) < 2 {
		return 0, false
	}
	switch args[1] {
	case kernelProbe:
		return runKernelProbe(args[2:]), true
	case proxyWorker:
		return worker("proxy", args[2:], runProxy), true
	case aloneWorker:
		return worker("proxy", args[2:], runAlone), true
	case dhcpWorker:
		return worker("dhcp", args[2:], runDHCP), true
	}
	return 0, false
}

// workerArgs are what a worker is told: log level and format, then its own.
func workerArgs(name string, c logSetup, more ...string) []string {
	return append([]string{name, c.level, c.format}, more...)
}

// worker runs a worker until its owner or a signal ends it.
func worker(part string, args []string, run func(ctx context.Context, args []string, log *slog.Logger) error) int {
	if len(args) < 2 {
		fmt.Fprintln(os.Stderr, "imprint: error: a worker is started by imprint itself")
		return exitUsage
	}
	log := logSetup{args[0], args[1]}.logger().With("part", part)
	ctx, _, stop := daemon.Signals(context.Background())
	defer stop()
	if err := run(ctx, args[2:], log); err != nil && err != daemon.ErrStop {
		log.Error("worker failed", "err", err)
		return exitFailed
	}
	return exitOK
}

func runProxy(ctx context.Context, args []string, log *slog.Logger) error {
	if len(args) != 1 {
		return fmt.Errorf("the proxy wants the agent's socket, got %q", strings.Join(args, " "))
	}
	control, err := daemon.EnterWorker()
	if err != nil {
		return err
	}
	return nsproxy.Run(ctx, control, args[0], log)
}

func runDHCP(ctx context.Context, _ []string, log *slog.Logger) error {
	control, err := daemon.EnterWorker()
	if err != nil {
		return err
	}
	return dhcpagent.Serve(ctx, control, log, 0)
}

// workerGrace is how long a worker may take to end.
const workerGrace = 5 * time.Second

// supervised is a worker process and the socket that it is fed over.
type supervised struct {
	socket   string
	handover *daemon.Handover
	command  daemon.Command
	there    chan struct{} // closed when the first worker can be filled
}

// addWorker makes a worker of the node, which superviseWorker starts.
func (n *node) addWorker(name string, uid int, args []string) *supervised {
	socket := n.dir.file(runDir, name+".sock")
	w := &supervised{
		socket: socket, handover: daemon.NewHandover(socket), there: make(chan struct{}),
		command: daemon.Command{Args: args, UID: uint32(uid), GID: uint32(uid), Log: os.Stderr, Grace: workerGrace, Keep: n.keep},
	}
	n.workers = append(n.workers, w)
	n.remove = append(n.remove, func() error {
		if pid, err := w.handover.PID(context.Background()); err == nil {
			return fmt.Errorf("worker %s, process %d, did not stop", name, pid)
		}
		return removeFile(socket)
	})
	return w
}

// superviseWorker keeps the worker running; changed is called when a worker is
// there to be filled.
func (n *node) superviseWorker(w *supervised, changed func()) {
	first := sync.OnceFunc(func() { close(w.there) })
	n.addTask(filepath.Base(w.socket), func(ctx context.Context) error {
		return daemon.Supervise(ctx, n.log, w.socket, w.command, func() {
			first()
			changed()
		})
	})
}
