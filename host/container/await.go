package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"imprint/host/cloud"
)

// Await returns the instance's state as soon as done accepts it; done is
// called at once and then on every change. When ctx ends, its error comes back
// with the last state. An instance without a folder does not change and is an
// error, unless done accepts [Absent].
func (d *Driver) Await(ctx context.Context, id cloud.ServerID, done func(State) bool) (State, error) {
	for {
		w, err := d.watch(id)
		if errors.Is(err, os.ErrNotExist) && done(State{}) {
			return State{}, nil
		}
		if err != nil {
			return State{}, err
		}
		st, err := d.State(id)
		if err != nil || done(st) {
			w.close()
			return st, err
		}
		err = w.wait(ctx)
		w.close()
		if err != nil {
			return st, err
		}
	}
}

// watch is the means to learn that an instance's state may have changed since
// the watch was made.
type watch struct {
	folder *os.File // inotify: the record is replaced
	shim   *os.File // pidfd, nil when no shim runs: it may end without a word
}

func (d *Driver) watch(id cloud.ServerID) (*watch, error) {
	dir, err := d.folder(id)
	if err != nil {
		return nil, err
	}
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("watch container %s: %w", id, err)
	}
	w := &watch{folder: os.NewFile(uintptr(fd), "inotify")}
	if _, err = unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_TO|unix.IN_DELETE_SELF); err != nil {
		w.close()
		return nil, fmt.Errorf("watch container %s: %w", id, err)
	}
	if rec, err := readRecord(dir); err == nil && rec.Phase != Exited {
		w.shim, _ = rec.Shim.open()
	}
	return w, nil
}

func (w *watch) close() {
	w.folder.Close()
	if w.shim != nil {
		w.shim.Close()
	}
}

func (w *watch) wait(ctx context.Context) error {
	if w.shim == nil {
		return readable(ctx, w.folder)
	}
	either, cancel := context.WithCancel(ctx)
	defer cancel()
	woken := make(chan error, 2)
	for _, f := range []*os.File{w.folder, w.shim} {
		go func() { woken <- readable(either, f) }()
	}
	err := <-woken
	cancel()
	<-woken
	return err
}

// readable returns nil when f, which does not block, has something to read;
// it reads nothing.
func readable(ctx context.Context, f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("wait: %w", err)
	}
	given := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		f.SetReadDeadline(time.Unix(1, 0))
		close(given)
	})
	err = raw.Read(func(fd uintptr) bool { return ready(int(fd), 0) })
	if !stop() {
		<-given
		f.SetReadDeadline(time.Time{})
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ctx.Err()
	}
	return err
}

// ready waits up to timeout milliseconds, -1 for ever, until fd can be read.
// A pidfd can when its process has ended.
func ready(fd, timeout int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, timeout)
		if !errors.Is(err, unix.EINTR) {
			return n > 0
		}
	}
}
