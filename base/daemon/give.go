package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Giver is a [Handler] whose sockets can go to its successor: the same
// sockets, so that who is waiting to be accepted is accepted by one of the two.
type Giver interface {
	Handler
	// Give returns duplicates of an item's sockets in the order in which they
	// were put; the caller closes them. From the first call on the handler is
	// to end gently, when it is told to: with what it has accepted.
	Give(key string) ([]*os.File, error)
}

// maxTaken bounds the descriptors that an owner takes from a worker.
const maxTaken = 1 << 16

var errGiven = errors.New("what it holds is going to its successor")

// give sends everything that is held, with its sockets. After that nothing
// changes here any more, unless the taker goes away before it ends the worker.
func (s *handoverServer) give(taker *net.UnixConn, send func(Item, []*os.File) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, can := s.h.(Giver)
	if !can {
		return refused("it cannot give away what it holds")
	}
	s.taker = taker
	for _, item := range s.h.List() {
		files, err := g.Give(item.Key)
		if err == nil {
			err = send(item, files)
		}
		closeAll(files)
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *handoverServer) release(c *net.UnixConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taker == c {
		s.taker = nil
	}
}

// taken is an item with its sockets, on the way to a successor.
type taken struct {
	item  Item
	files []*os.File
}

// takenItems are closed together.
type takenItems []taken

func (t takenItems) close() {
	for _, one := range t {
		closeAll(one.files)
	}
}

// take asks the worker for all that it holds, sockets included.
func (h *Handover) take(ctx context.Context) (takenItems, error) {
	var all takenItems
	files := 0
	_, err := h.call(ctx, request{Op: opTake}, nil, func(i Item, f []*os.File) error {
		all = append(all, taken{i, f})
		if files += len(f); files > maxTaken {
			return fmt.Errorf("more than %d sockets", maxTaken)
		}
		return nil
	})
	if err != nil {
		all.close()
		return nil, err
	}
	return all, nil
}

// dismiss asks the worker to end, and does not wait.
func (h *Handover) dismiss(ctx context.Context) error {
	_, err := h.call(ctx, request{Op: opStop}, nil, nil)
	return err
}

// succeed starts a worker that takes over what the one behind h holds, and
// sees it to its end. Between the two no socket is closed. done is false when
// nothing was begun, and the old worker is as it was.
func (s *supervisor) succeed(ctx context.Context, h *Handover) (done bool) {
	held, err := h.take(ctx)
	if err != nil {
		s.log.Info("worker cannot hand over to its successor", "socket", s.path, "error", err)
		return false
	}
	next := filepath.Join(filepath.Dir(s.path), "."+filepath.Base(s.path)+".next")
	control, err := listenFile(next)
	if errors.Is(err, ErrInUse) { // a successor whose owner died too soon
		if err = NewHandover(next).Stop(ctx); err == nil {
			control, err = listenFile(next)
		}
	}
	if err != nil {
		held.close()
		s.log.Warn("worker's successor not started", "socket", s.path, "error", err)
		return false
	}
	defer control.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.spawn(ctx, control) }()
	err = s.fill(ctx, next, held)
	if err == nil {
		err = os.Rename(next, s.path)
	}
	if err != nil {
		s.log.Warn("worker's successor not used", "socket", s.path, "error", err)
		cancel()
		<-ended
		os.Remove(next)
		return false
	}
	s.changed()
	if err := h.dismiss(ctx); err != nil {
		s.log.Warn("worker not dismissed", "socket", s.path, "error", err)
	}
	if err := <-ended; err != nil {
		s.log.Warn("worker ended", "socket", s.path, "error", err)
	}
	return true
}

// fillTimeout bounds the filling of a successor.
const fillTimeout = time.Minute

// fill hands everything to the worker at the socket, and closes it here.
func (s *supervisor) fill(ctx context.Context, socket string, held takenItems) error {
	defer held.close()
	ctx, cancel := context.WithTimeout(ctx, fillTimeout)
	defer cancel()
	h := NewHandover(socket)
	defer h.Close()
	for _, one := range held {
		if err := h.Put(ctx, one.item, one.files...); err != nil {
			return err
		}
	}
	s.log.Info("worker's sockets handed to its successor", "socket", s.path, "items", len(held))
	return nil
}
