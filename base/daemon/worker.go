package daemon

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"

	"golang.org/x/sys/unix"
)

// ControlFD is the descriptor at which a worker finds its control listener.
const ControlFD = 3

// EnterWorker is a worker's first act: it refuses to go on with any privilege
// left, makes the process survive the reader of its log, and returns the
// control listener that it inherited, for [ServeHandover].
func EnterWorker() (net.Listener, error) {
	if err := CheckUnprivileged(); err != nil {
		return nil, err
	}
	signal.Ignore(unix.SIGPIPE)
	return InheritedListener(ControlFD)
}

// CheckUnprivileged returns an error unless this process runs as an ordinary
// user, holds no capability in any set, and has no_new_privs.
func CheckUnprivileged() error {
	if os.Getuid() == 0 || os.Geteuid() == 0 || os.Getgid() == 0 || os.Getegid() == 0 {
		return errors.New("refused to run as root")
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return fmt.Errorf("read own capabilities: %w", err)
	}
	return checkStatus(string(status))
}

// checkStatus reads the text of /proc/PID/status. proc(5)
func checkStatus(status string) error {
	found := 0
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		switch key {
		case "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
			if strings.Trim(value, "0") != "" {
				return fmt.Errorf("refused to run with capabilities: %s is %s", key, value)
			}
			found++
		case "NoNewPrivs":
			if value != "1" {
				return errors.New("refused to run without no_new_privs")
			}
			found++
		}
	}
	if found != 6 {
		return errors.New("own capabilities are not known")
	}
	return nil
}

// InheritedListener returns the listener that the parent left open at fd.
func InheritedListener(fd uintptr) (net.Listener, error) {
	f := os.NewFile(fd, "inherited listener")
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("inherit listener at descriptor %d: %w", fd, err)
	}
	return l, nil
}
