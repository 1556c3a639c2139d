package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// A link carries messages between driver and shim, and between shim and init:
// one JSON object a packet. Its end is io.EOF for the other side.
type link struct{ f *os.File }

// message is what goes over a link. The fields that a kind needs are named at it.
type message struct {
	Kind    kind     `json:"kind"`
	Text    string   `json:"text,omitempty"`
	PID     int      `json:"pid,omitempty"`
	Spec    *spec    `json:"spec,omitempty"`
	Boot    *boot    `json:"boot,omitempty"`
	Command *Command `json:"command,omitempty"`
}

type kind string

const (
	msgSpec    kind = "spec"    // driver → shim: Spec
	msgCreated kind = "created" // shim → driver: PID, the namespaces exist
	msgGo      kind = "go"      // driver → shim: the network is plugged
	msgStarted kind = "started" // shim → driver: the init has been told to boot
	msgFailed  kind = "failed"  // to whoever asked: Text
	msgEnter   kind = "enter"   // shim → first half of init: Boot; it is in its control groups
	msgReady   kind = "ready"   // init → shim: confined, waits
	msgBoot    kind = "boot"    // shim → init: Boot
	msgCommand kind = "command" // init → shim: Command has ended
	msgBooted  kind = "booted"  // init → shim
)

// maxMessage bounds a packet in bytes.
const maxMessage = 32 << 10

// newLinks returns both ends; the second is for a child to inherit.
func newLinks() (link, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return link{}, nil, fmt.Errorf("make a socket pair: %w", err)
	}
	return openLink(fds[0]), os.NewFile(uintptr(fds[1]), "link"), nil
}

// linkFD is where a child finds its end.
const linkFD = 3

// openLink takes over fd and hides it from further children.
func openLink(fd int) link {
	unix.CloseOnExec(fd)
	unix.SetNonblock(fd, true)
	return link{os.NewFile(uintptr(fd), "link")}
}

func (l link) close() { l.f.Close() }

func (l link) send(m message) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if _, err := l.f.Write(text); err != nil {
		return fmt.Errorf("send %s: %w", m.Kind, err)
	}
	return nil
}

func (l link) receive() (message, error) {
	var m message
	packet := make([]byte, maxMessage)
	n, err := l.f.Read(packet)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(packet[:n], &m); err != nil {
		return m, fmt.Errorf("receive: %w", err)
	}
	return m, nil
}

// expect receives a message of kind k; a failure told by the other side is
// returned as an error, and so is its end.
func (l link) expect(k kind) (message, error) {
	m, err := l.receive()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, unix.ECONNRESET):
		return m, fmt.Errorf("ended before saying %q", k)
	case err != nil:
		return m, err
	case m.Kind == msgFailed:
		return m, errors.New(m.Text)
	case m.Kind != k:
		return m, fmt.Errorf("said %q and not %q", m.Kind, k)
	}
	return m, nil
}

// closeInherited closes what this process was left by whoever started the
// program, by carelessness: descriptors that would pass into an instance.
// What the program itself opened does not pass to children.
func closeInherited() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list own files: %w", err)
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= linkFD {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			unix.Close(fd)
		}
	}
	return nil
}
