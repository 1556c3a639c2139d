package daemon

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Command is a child process without privileges.
type Command struct {
	Path  string        // program; "" is this process's own binary, wherever it lies
	Args  []string      // after the program's name; never a secret
	UID   uint32        // not 0
	GID   uint32        // not 0; no supplementary groups
	Files []*os.File    // descriptors 3, 4, …; stay the caller's
	Env   []string      // the whole environment
	Log   *os.File      // stdout and stderr; nil is /dev/null. A file outlives its owner, a pipe does not
	Grace time.Duration // to end in when asked to; then it is killed
	Keep  func() bool   // asked when the context ends: true leaves the child running; nil is false
}

// Spawn runs c until it ends. The child has a session of its own, / as its
// directory, no capability in any set, and cannot gain one (no_new_privs).
// When ctx ends it gets SIGTERM, Grace later SIGKILL, and Spawn returns nil,
// at once if Keep leaves it running; else it returns how the child ended,
// ErrStop for exit status 0. The child is not killed when this process dies.
func Spawn(ctx context.Context, c Command) error {
	if c.UID == 0 || c.GID == 0 {
		return fmt.Errorf("spawn %v: refused to run it as uid %d, gid %d", c.Args, c.UID, c.GID)
	}
	cmd := c.exec()
	if err := startUnprivileged(cmd); err != nil {
		return fmt.Errorf("spawn %v: %w", c.Args, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err == nil {
			return ErrStop
		}
		return fmt.Errorf("%v: %w", c.Args, err)
	case <-ctx.Done():
		c.end(cmd, ended)
		return nil
	}
}

// end asks the child to end and sees to it that it does, unless it is to be
// left running.
func (c Command) end(cmd *exec.Cmd, ended <-chan error) {
	if c.keep() {
		return
	}
	cmd.Process.Signal(unix.SIGTERM)
	select {
	case <-ended:
	case <-time.After(c.Grace):
		cmd.Process.Kill()
		<-ended
	}
}

func (c Command) keep() bool { return c.Keep != nil && c.Keep() }

func (c Command) exec() *exec.Cmd {
	path := c.Path
	if path == "" {
		// Resolved by the child itself: works where its user could not walk to
		// the binary, and after the file was replaced.
		path = "/proc/self/exe"
	}
	cmd := exec.Command(path, c.Args...)
	cmd.Dir = "/"
	cmd.Env = append([]string{}, c.Env...)
	cmd.ExtraFiles = c.Files
	if c.Log != nil {
		cmd.Stdout, cmd.Stderr = c.Log, c.Log
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Credential: &syscall.Credential{Uid: c.UID, Gid: c.GID},
	}
	return cmd
}

// startUnprivileged starts cmd from a thread that has given up for good what
// a child would inherit, and is then destroyed. The main thread cannot be: it
// is held until another has done the work.
func startUnprivileged(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the runtime destroys the thread
		if unix.Gettid() != unix.Getpid() {
			started <- shedAndStart(cmd)
			return
		}
		err := startUnprivileged(cmd)
		runtime.UnlockOSThread()
		started <- err
	}()
	return <-started
}

func shedAndStart(cmd *exec.Cmd) error {
	if err := shedInheritable(); err != nil {
		return err
	}
	// What whoever started this process left open is nothing for the child.
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("keep descriptors from the child: %w", err)
	}
	return cmd.Start()
}

// shedInheritable empties the calling thread's bounding, ambient and
// inheritable sets and sets no_new_privs. capabilities(7), prctl(2)
func shedInheritable() error {
	for capability := uintptr(0); capability <= unix.CAP_LAST_CAP; capability++ {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0)
		if err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: an older kernel knows fewer
			return fmt.Errorf("drop capability %d: %w", capability, err)
		}
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clear ambient capabilities: %w", err)
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&head, &sets[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	sets[0].Inheritable, sets[1].Inheritable = 0, 0
	if err := unix.Capset(&head, &sets[0]); err != nil {
		return fmt.Errorf("clear inheritable capabilities: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	return nil
}
