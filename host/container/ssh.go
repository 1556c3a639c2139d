package container

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The server and the file that it writes when it listens and takes signals.
const (
	sshd    = "/usr/sbin/sshd"
	sshdPID = "/run/sshd.pid"
)

// maxRestarts bounds how often an SSH server that keeps ending is started anew.
const maxRestarts = 5

// sshServer keeps an SSH server running.
type sshServer struct {
	started bool // by the boot, whose goroutine alone uses it

	mu     sync.Mutex
	pid    int    // 0 while none runs
	config string // as it last read it
}

// startOrReload starts the server when it can be, and has it read its
// configuration again when that has changed since. It returns when the server
// listens, or is late.
func (s *sshServer) startOrReload(in *initProcess) {
	if _, err := os.Stat(sshd); err != nil {
		return
	}
	switch {
	case !s.started && !hasHostKeys():
		in.say("init: no ssh server: there are no host keys")
	case !s.started:
		s.started = true
		go s.keep(in)
		in.awaitFile(sshdPID)
	case s.reload(in):
		in.awaitFile(sshdPID)
	}
}

// reload reports whether the server was asked to read its configuration again;
// it stops listening for that and writes its file anew.
func (s *sshServer) reload(in *initProcess) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	config := sshConfig()
	if config == s.config || s.pid == 0 {
		return false
	}
	s.config = config
	in.say("init: ssh server reads its configuration again")
	os.Remove(sshdPID)
	return unix.Kill(s.pid, unix.SIGHUP) == nil
}

// awaitFile returns when the file is there, or after two seconds: it is
// written by what may fail to.
func (in *initProcess) awaitFile(name string) {
	for range 200 {
		if _, err := os.Stat(name); err == nil {
			return
		}
		select {
		case <-in.halting:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// keep starts the server again when it ends.
func (s *sshServer) keep(in *initProcess) {
	for n := 1; n <= maxRestarts; n++ {
		began := time.Now()
		ended, err := s.run(in)
		if err != nil {
			in.say("init: ssh server: %v", err)
			return
		}
		status := <-ended
		s.set(0)
		in.say("init: ssh server ended with status %d", exitStatus(status))
		if time.Since(began) > time.Minute {
			n = 0
		}
		select {
		case <-in.halting:
			return
		case <-time.After(time.Duration(n) * time.Second):
		}
	}
	in.say("init: ssh server keeps ending, left alone")
}

// run returns the way to learn of the server's end. One that was started by
// the instance's own means meanwhile, such as service(8), is kept.
func (s *sshServer) run(in *initProcess) (<-chan unix.WaitStatus, error) {
	if ended := s.other(in); ended != nil {
		return ended, nil
	}
	pid, ended, err := in.reaper.start(sshd, "-D")
	if err != nil {
		return nil, err
	}
	s.set(pid)
	return ended, nil
}

// other finds a server that was not started here, by its pid file.
func (s *sshServer) other(in *initProcess) <-chan unix.WaitStatus {
	text, err := readSmall(sshdPID)
	if err != nil {
		return nil
	}
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || pid <= 1 {
		return nil
	}
	name, err := readSmall("/proc/" + strconv.Itoa(pid) + "/comm")
	if err != nil || strings.TrimSpace(name) != "sshd" {
		return nil
	}
	in.reaper.mu.Lock()
	defer in.reaper.mu.Unlock()
	// A child of another process than this one is not ours to wait for.
	if parent, err := parentOf(pid); err != nil || parent != 1 {
		return nil
	}
	s.set(pid)
	return in.reaper.wait(pid)
}

func parentOf(pid int) (int, error) {
	text, err := readSmall("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 2 {
		return 0, os.ErrInvalid
	}
	return strconv.Atoi(fields[1])
}

// set notes the server's process, 0 for none; a new one has just read its
// configuration.
func (s *sshServer) set(pid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pid = pid; pid != 0 {
		s.config = sshConfig()
	}
}

func (s *sshServer) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pid != 0 {
		unix.Kill(s.pid, unix.SIGTERM)
	}
}

func hasHostKeys() bool {
	keys, _ := filepath.Glob("/etc/ssh/ssh_host_*_key")
	return len(keys) > 0
}

// sshConfig is the server's configuration, all files of it.
func sshConfig() string {
	files, _ := filepath.Glob("/etc/ssh/sshd_config.d/*.conf")
	var all strings.Builder
	for _, name := range append(files, "/etc/ssh/sshd_config") {
		text, _ := readSmall(name)
		all.WriteString(name + "\x00" + text + "\x00")
	}
	return all.String()
}
