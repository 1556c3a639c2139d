package container

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// The sub-commands that this binary is started again with.
const (
	shimCommand  = "container-shim"
	enterCommand = "container-enter"
	initCommand  = "container-init"
)

// IsShim reports whether args, the program's os.Args, ask for [ShimMain].
func IsShim(args []string) bool {
	return len(args) > 1 && (args[1] == shimCommand || args[1] == enterCommand || args[1] == initCommand)
}

// ShimMain is the main function of the processes that a [Driver] starts; its
// result is the exit status. It has the process for itself: nothing else of
// the program may have run, package initialisers excepted.
func ShimMain(args []string) int {
	switch args[1] {
	case shimCommand:
		return shimMain()
	case enterCommand:
		return enterMain()
	}
	return initMain()
}

// launch starts a shim and sees it through to the boot of its init.
func launch(ctx context.Context, s spec, plug func(netns *os.File) error) error {
	cmd, l, err := startShim(s)
	if err != nil {
		return err
	}
	defer l.close()
	stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	err = handshake(l, s, plug)
	inTime := stop()
	if err == nil && inTime {
		go cmd.Wait()
		return nil
	}
	// A shim whose link ends before it was told to go takes all back and ends.
	l.close()
	cmd.Wait()
	if !inTime {
		return ctx.Err()
	}
	return err
}

func handshake(l link, s spec, plug func(netns *os.File) error) error {
	if err := l.send(message{Kind: msgSpec, Spec: &s}); err != nil {
		return err
	}
	m, err := l.expect(msgCreated)
	if err != nil {
		return err
	}
	netns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", m.PID))
	if err != nil {
		return fmt.Errorf("open network namespace: %w", err)
	}
	defer netns.Close()
	if err := plug(netns); err != nil {
		return fmt.Errorf("plug network: %w", err)
	}
	if err := l.send(message{Kind: msgGo}); err != nil {
		return err
	}
	_, err = l.expect(msgStarted)
	return err
}

// startShim starts a shim that waits for its spec. It has a session and a mount
// namespace of its own, and dies with nobody.
func startShim(s spec) (*exec.Cmd, link, error) {
	l, theirs, err := newLinks()
	if err != nil {
		return nil, l, err
	}
	defer theirs.Close()
	log, err := os.OpenFile(filepath.Join(s.Dir, "shim.log"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		l.close()
		return nil, l, fmt.Errorf("make shim's log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command("/proc/self/exe", shimCommand, string(s.ID))
	cmd.Args[0] = filepath.Base(os.Args[0])
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "GOMAXPROCS=2", "GOGC=50"}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: unix.CLONE_NEWNS}
	if err := cmd.Start(); err != nil {
		l.close()
		return nil, l, fmt.Errorf("start shim: %w", err)
	}
	return cmd, l, nil
}
