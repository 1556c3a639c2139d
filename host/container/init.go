package container

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"imprint/host/cloud"
)

// boot is what an init is told.
type boot struct {
	ID cloud.ServerID `json:"id"`
	// Ifup says that the tree brings its network up by ifupdown.
	Ifup bool `json:"ifup"`
}

// haltGrace is how long processes have after SIGTERM when the instance halts.
// The driver's grace is the outer limit.
const haltGrace = 5 * time.Second

// initMain is the second half of an instance's first process: it runs the
// boot, reaps, and halts on SIGTERM. It ends with the shim, and the kernel then
// ends the rest of the instance.
func initMain() int {
	// What a guest may not see is who else has this link.
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	unix.Umask(0o022)
	l := openLink(linkFD)
	in := newInit(l)
	if err := in.ready(); err != nil {
		l.send(message{Kind: msgFailed, Text: err.Error()})
		return 1
	}
	m, err := l.expect(msgBoot)
	if err != nil {
		return 1
	}
	go in.endWithShim()
	go in.boot(*m.Boot)
	in.halt(<-in.terminate)
	return 0
}

// initProcess is the state of process 1.
type initProcess struct {
	link      link
	console   io.Writer
	reaper    *reaper
	terminate chan os.Signal
	halting   chan struct{} // closed when nothing may be started any more
	ssh       sshServer
}

func newInit(l link) *initProcess {
	in := &initProcess{
		link: l, console: os.Stdout, reaper: newReaper(),
		terminate: make(chan os.Signal, 1), halting: make(chan struct{}),
	}
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGPIPE)
	signal.Notify(in.terminate, unix.SIGTERM)
	go in.reaper.run()
	return in
}

// ready does what needs no network and tells so.
func (in *initProcess) ready() error {
	if err := loopbackUp(); err != nil {
		return err
	}
	for _, d := range []struct {
		name string
		mode os.FileMode
	}{{"/run/lock", 0o777 | os.ModeSticky}, {"/run/sshd", 0o755}} {
		if err := os.Mkdir(d.name, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		if err := os.Chmod(d.name, d.mode); err != nil {
			return err
		}
	}
	if name := storedHostname(); name != "" {
		if err := unix.Sethostname([]byte(name)); err != nil {
			return fmt.Errorf("set hostname: %w", err)
		}
	}
	return in.link.send(message{Kind: msgReady})
}

// storedHostname is the name that the instance gave itself at an earlier boot.
// hostname(5)
func storedHostname() string {
	text, err := readSmall("/etc/hostname")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(text) {
		if name := strings.TrimSpace(line); name != "" && name[0] != '#' && len(name) <= 64 {
			return name
		}
	}
	return ""
}

// readSmall reads a file of at most 64 KiB.
func readSmall(name string) (string, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64<<10))
	return string(text), err
}

// loopbackUp sets the flag of the interface lo. netdevice(7)
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}

func (in *initProcess) say(format string, args ...any) {
	fmt.Fprintf(in.console, format+"\n", args...)
}

// endWithShim ends this process, and so the instance, when the shim is gone:
// nobody would notice its end.
func (in *initProcess) endWithShim() {
	for {
		if _, err := in.link.receive(); err != nil {
			os.Exit(1)
		}
	}
}

// halt ends all other processes, the SSH server first.
func (in *initProcess) halt(os.Signal) {
	in.say("init: halting")
	close(in.halting)
	in.reaper.stopStarting()
	in.ssh.stop()
	unix.Kill(-1, unix.SIGTERM)
	select {
	case <-in.reaper.alone():
	case <-time.After(haltGrace):
		in.say("init: killing what is left")
		unix.Kill(-1, unix.SIGKILL)
		<-in.reaper.alone()
	}
	in.say("init: halted")
}

// reaper starts processes and collects all that end, those of others too,
// whose parents ended before them.
type reaper struct {
	mu      sync.Mutex
	closed  bool
	waiting map[int]chan unix.WaitStatus
	ended   chan os.Signal
	none    chan struct{} // closed when there are no children and none can come
}

func newReaper() *reaper {
	r := &reaper{waiting: map[int]chan unix.WaitStatus{}, ended: make(chan os.Signal, 1), none: make(chan struct{})}
	signal.Notify(r.ended, unix.SIGCHLD)
	return r
}

func (r *reaper) run() {
	for range r.ended {
		if r.collect() {
			close(r.none)
			return
		}
	}
}

// collect reports whether no child is left and none may be started.
func (r *reaper) collect() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ECHILD):
			return r.closed
		case err != nil || pid == 0:
			return false
		default:
			if c := r.waiting[pid]; c != nil {
				c <- status
				delete(r.waiting, pid)
			}
		}
	}
}

// stopStarting makes start fail from now on.
func (r *reaper) stopStarting() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	select {
	case r.ended <- unix.SIGCHLD:
	default:
	}
}

func (r *reaper) alone() <-chan struct{} { return r.none }
