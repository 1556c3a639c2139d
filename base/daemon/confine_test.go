package daemon

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// runConfined is a worker that tries what it must not, and does what it may.
func runConfined() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	socket := filepath.Join(os.TempDir(), fmt.Sprint("confined-", os.Getpid()))
	agent, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	defer os.Remove(socket) // refused by then; the test removes it
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if err := Confine(); err != nil {
		return err
	}
	for what, try := range map[string]func() error{
		"open a file":   func() error { _, err := os.ReadFile("/etc/passwd"); return err },
		"run a program": func() error { return exec.Command("/bin/true").Run() },
		"a TCP socket":  func() error { _, err := net.Dial("tcp", l.Addr().String()); return err },
		"kill another":  func() error { return unix.Kill(os.Getppid(), 0) },
		"code in memory": func() error {
			_, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
			return err
		},
		"trace": func() error { return unix.PtraceAttach(os.Getppid()) },
		"leave": func() error { return unix.Unshare(unix.CLONE_NEWUSER) },
	} {
		if err := try(); !errors.Is(err, unix.ENOSYS) {
			return fmt.Errorf("%s: %v", what, err)
		}
	}
	return work(file, agent)
}

// work is what a worker does: threads, memory, timers, sockets of its owner.
func work(file *os.File, agent net.Listener) error {
	l, err := net.FileListener(file)
	if err != nil {
		return err
	}
	go func() {
		if c, err := agent.Accept(); err == nil {
			c.Close()
		}
	}()
	c, err := net.Dial("unix", agent.Addr().String())
	if err != nil {
		return err
	}
	c.Close()
	l.(*net.TCPListener).SetDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := l.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	var threads sync.WaitGroup
	for range 50 {
		threads.Go(func() {
			runtime.LockOSThread() // and so a thread of its own, which ends
			_ = make([]byte, 1<<20)
			time.Sleep(time.Millisecond)
		})
	}
	threads.Wait()
	runtime.GC()
	return nil
}

func TestConfine(t *testing.T) {
	cmd := exec.Command("/proc/self/exe", "confined")
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
