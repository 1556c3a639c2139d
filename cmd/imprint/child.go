package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Bounds of the wait for a process to be ready, and to end.
const (
	startLimit = 30 * time.Second
	stopLimit  = 60 * time.Second
)

// child is a process of a cloud that a demo runs. Its fields are set before
// start and not changed after.
type child struct {
	name string
	args []string // of imprint
	uid  int      // 0: root
	dir  string   // where its readiness socket is made
	log  string   // file that its log is added to
	// stays leaves it running when the demo ends by itself.
	stays bool

	cmd   *exec.Cmd
	ended chan error
}

// start starts the process and waits until it says that it is ready.
func (c *child) start(ctx context.Context) error {
	socket := filepath.Join(c.dir, "ready-"+c.name)
	ready, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("listen for readiness: %w", err)
	}
	defer os.Remove(socket)
	defer ready.Close()
	if err := os.Chmod(socket, 0o666); err != nil {
		return fmt.Errorf("listen for readiness: %w", err)
	}
	logFile, err := os.OpenFile(c.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("log of %s: %w", c.name, err)
	}
	defer logFile.Close()
	c.cmd = c.command()
	c.cmd.Stdout, c.cmd.Stderr = logFile, logFile
	c.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket)
	if err := c.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", c.name, err)
	}
	c.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan<- error) { ended <- cmd.Wait() }(c.cmd, c.ended)
	if err := c.waitReady(ctx, ready); err != nil {
		return joinErrors(err, c.stop())
	}
	return nil
}

// command is this program as the process's user; it is to end with the demo.
func (c *child) command() *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", c.args...)
	cmd.Args[0] = "imprint"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if c.uid != 0 {
		cmd.Dir = "/"
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(c.uid), Gid: uint32(c.uid)}
	}
	if !c.stays {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	}
	return cmd
}

func (c *child) waitReady(ctx context.Context, ready *net.UnixConn) error {
	said := make(chan struct{})
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := ready.Read(buf)
			if err != nil {
				return
			}
			if strings.Contains(string(buf[:n]), "READY=1") {
				close(said)
				return
			}
		}
	}()
	select {
	case <-said:
		return nil
	case err := <-c.ended:
		c.ended <- nil
		return fmt.Errorf("%s ended (%w): %s", c.name, orEnded(err), lastError(c.log))
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(startLimit):
		return fmt.Errorf("%s is not ready after %s; its log is %s", c.name, startLimit, c.log)
	}
}

func orEnded(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// lastError returns the last line of a log.
func lastError(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	last := ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		last = lines.Text()
	}
	return last
}

// stop asks the process to end and waits for it.
func (c *child) stop() error {
	c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-c.ended:
		c.ended <- nil
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		return nil
	case <-time.After(stopLimit):
		c.cmd.Process.Kill()
		return fmt.Errorf("%s still ran %s after SIGTERM and was killed", c.name, stopLimit)
	}
}

// kill ends the process at once.
func (c *child) kill() {
	c.cmd.Process.Kill()
	<-c.ended
	c.ended <- nil
}
