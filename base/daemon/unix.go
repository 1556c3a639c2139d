package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// ErrInUse says that another process serves the socket.
var ErrInUse = errors.New("socket is in use")

// sun_path holds 108 bytes, the last of them zero. unix(7)
const maxSocketPath = 107

// ListenUnix listens on the unix stream socket path, owned by uid and gid
// (-1 leaves them) and with exactly mode, from its first moment on. A stale
// socket is replaced; one that answers is [ErrInUse]; anything that is not a
// socket is an error and stays. Closing the listener leaves the file, so that
// a process that inherited it can go on; the next ListenUnix replaces it.
func ListenUnix(path string, mode fs.FileMode, uid, gid int) (*net.UnixListener, error) {
	if err := removeStale(path); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	l, err := listenRenamed(path, mode, uid, gid)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return l, nil
}

// listenRenamed binds below a hidden name and links it into place, so that
// nobody can connect before owner and mode are right.
func listenRenamed(path string, mode fs.FileMode, uid, gid int) (*net.UnixListener, error) {
	tmp := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%x", time.Now().UnixNano()&0xffffffff))
	if max(len(tmp), len(path)) > maxSocketPath {
		return nil, fmt.Errorf("path is longer than %d bytes", maxSocketPath)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: tmp, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	defer os.Remove(tmp)
	err = errors.Join(os.Chown(tmp, uid, gid), os.Chmod(tmp, mode.Perm()))
	if err == nil {
		err = os.Link(tmp, path)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("exists and is not a socket")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return ErrInUse
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("%w: %w", ErrInUse, err)
	}
	return os.Remove(path)
}

// Credentials are those of the process that connected, at the time it did.
// They are numbers of this process's user and pid namespaces.
type Credentials struct {
	PID      int
	UID, GID uint32
}

// PeerCredentials returns who is at the other end of a unix stream
// connection. unix(7), SO_PEERCRED. On the connecting side it is whoever
// called listen, not who accepts now.
func PeerCredentials(c net.Conn) (Credentials, error) {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return Credentials{}, fmt.Errorf("peer credentials: %T is not a unix connection", c)
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return Credentials{}, fmt.Errorf("peer credentials: %w", err)
	}
	var cred *unix.Ucred
	var sockErr error
	err = raw.Control(func(fd uintptr) {
		cred, sockErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, sockErr); err != nil {
		return Credentials{}, fmt.Errorf("peer credentials: %w", err)
	}
	return Credentials{PID: int(cred.Pid), UID: cred.Uid, GID: cred.Gid}, nil
}

// AdmitUIDs wraps a unix listener so that Accept returns only connections of
// processes whose user is one of uids; others are closed and logged at Warn,
// not more often than some times a minute for one user.
func AdmitUIDs(l net.Listener, log *slog.Logger, uids ...uint32) net.Listener {
	return &admitting{Listener: l, log: orDiscard(log), uids: slices.Clone(uids), lines: NewBuckets(refusedRate, refusedBurst)}
}

// How often a refusal of one user is logged: lines a second, and at once.
const refusedRate, refusedBurst = 0.1, 10

type admitting struct {
	net.Listener
	log   *slog.Logger
	uids  []uint32
	lines *Buckets // of the log, by user
}

func (a *admitting) Accept() (net.Conn, error) {
	for {
		c, err := a.Listener.Accept()
		if err != nil {
			return nil, err
		}
		cred, err := PeerCredentials(c)
		if err == nil && slices.Contains(a.uids, cred.UID) {
			return c, nil
		}
		if a.lines.Spend(fmt.Sprint(cred.UID)) {
			a.log.Warn("unix peer refused", "uid", cred.UID, "pid", cred.PID, "error", err)
		}
		c.Close()
	}
}
