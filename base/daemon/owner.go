package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A worker answers at once; one that does not is broken. What it lists is
// bounded, because a worker is not trusted with its owner's memory.
const (
	callTimeout = 10 * time.Second
	maxListed   = 64 << 20 // bytes
)

// Handover is an owner's side of a worker's control socket. After a failed
// call the next one connects anew, so a worker may be replaced under it. Safe
// for concurrent use; calls go one after the other.
type Handover struct {
	path string

	mu   sync.Mutex
	conn *net.UnixConn // nil until needed
}

// DialHandover connects to the worker whose control socket is path.
func DialHandover(ctx context.Context, path string) (*Handover, error) {
	h := NewHandover(path)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.connect(ctx); err != nil {
		return nil, err
	}
	return h, nil
}

// NewHandover is [DialHandover] that connects with the first call.
func NewHandover(path string) *Handover { return &Handover{path: path} }

// Put hands item and its files to the worker, which duplicates them: the
// caller still closes its own. Without files an item that the worker holds
// gets new Data and keeps its sockets.
func (h *Handover) Put(ctx context.Context, item Item, files ...*os.File) error {
	if err := item.check(); err != nil {
		return err
	}
	_, err := h.call(ctx, request{Op: opPut, Item: item}, files, nil)
	return err
}

// Remove makes the worker close what belongs to key, if anything does.
func (h *Handover) Remove(ctx context.Context, key string) error {
	_, err := h.call(ctx, request{Op: opRemove, Item: Item{Key: key}}, nil, nil)
	return err
}

// List returns everything that the worker holds, of all owners, by key.
func (h *Handover) List(ctx context.Context) ([]Item, error) {
	var items []Item
	_, err := h.call(ctx, request{Op: opList}, nil, func(i Item, files []*os.File) error {
		closeAll(files)
		items = append(items, i)
		return nil
	})
	return items, err
}

// PID returns the worker's process id.
func (h *Handover) PID(ctx context.Context) (int, error) {
	return h.call(ctx, request{Op: opList}, nil, nil)
}

// Stop asks the worker to end, and returns when its process has.
func (h *Handover) Stop(ctx context.Context) error {
	pid, err := h.call(ctx, request{Op: opStop}, nil, nil)
	if err != nil {
		return err
	}
	return waitForExit(ctx, pid)
}

// Close ends the connection; the worker keeps what it holds.
func (h *Handover) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.disconnect()
	return nil
}

func (h *Handover) connect(ctx context.Context) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", h.path)
	if err != nil {
		return fmt.Errorf("connect to worker: %w", err)
	}
	h.conn = c.(*net.UnixConn)
	return nil
}

func (h *Handover) disconnect() {
	if h.conn != nil {
		h.conn.Close()
		h.conn = nil
	}
}

// refused is the worker's own answer; the connection is in order.
type refused string

func (r refused) Error() string { return string(r) }

// call asks and returns who answered; each is given the items of the answer,
// whose files are then its own. nil closes them.
func (h *Handover) call(ctx context.Context, req request, files []*os.File, each func(Item, []*os.File) error) (pid int, err error) {
	if each == nil {
		each = func(_ Item, files []*os.File) error { closeAll(files); return nil }
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	reused, items := h.conn != nil, 0
	counted := func(i Item, f []*os.File) error { items++; return each(i, f) }
	pid, err = h.try(ctx, req, files, counted)
	if err != nil && h.conn == nil && reused && items == 0 && ctx.Err() == nil {
		pid, err = h.try(ctx, req, files, counted) // the worker was replaced since the last call
	}
	if err != nil {
		return 0, fmt.Errorf("worker %s: %s %s: %w", h.path, req.Op, req.Item.Key, err)
	}
	return pid, nil
}

// try leaves h connected only when the worker has answered.
func (h *Handover) try(ctx context.Context, req request, files []*os.File, each func(Item, []*os.File) error) (int, error) {
	if h.conn == nil {
		if err := h.connect(ctx); err != nil {
			return 0, err
		}
	}
	c := h.conn
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	pid, err := exchange(c, req, files, each, maxListed)
	var no refused
	if !stop() || err != nil && !errors.As(err, &no) {
		h.disconnect()
	}
	return pid, err
}

func exchange(c *net.UnixConn, req request, files []*os.File, each func(Item, []*os.File) error, limit int) (int, error) {
	if err := writeFrame(c, req, files); err != nil {
		return 0, err
	}
	for size := 0; size <= limit; {
		var r reply
		with, err := readFrame(c, &r)
		if err != nil {
			return 0, err
		}
		if r.Error != "" || r.Item == nil {
			closeAll(with)
			if r.Error != "" {
				return 0, refused(r.Error)
			}
			return r.PID, nil
		}
		if err := each(*r.Item, with); err != nil {
			return 0, err
		}
		size += len(r.Item.Key) + len(r.Item.Sockets) + len(r.Item.Data) + 64
	}
	return 0, fmt.Errorf("list is larger than %d bytes", limit)
}

// Lost connects to the worker and returns when that connection ends: nil when
// the worker went away or closed it, ctx's error, or why it cannot connect.
func (h *Handover) Lost(ctx context.Context) error {
	watch := NewHandover(h.path)
	if err := watch.connect(ctx); err != nil {
		return err
	}
	defer watch.Close()
	c := watch.conn
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	var none [1]byte
	c.Read(none[:])
	return ctx.Err()
}

// waitForExit waits for a process that need not be a child. pidfd_open(2)
func waitForExit(ctx context.Context, pid int) error {
	if pid == os.Getpid() {
		return nil
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("wait for worker %d: %w", pid, err)
	}
	defer unix.Close(fd)
	for ctx.Err() == nil {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100)
		if n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return fmt.Errorf("wait for worker %d: %w", pid, ctx.Err())
}
