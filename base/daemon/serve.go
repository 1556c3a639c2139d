package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
)

const maxOwners = 32

// ServeHandover accepts owners on l and does what they ask of h, until ctx
// ends (nil) or an owner asks the worker to stop ([ErrStop]). Only processes
// of ownerUIDs are heard. It closes l and waits for its goroutines, but what h
// holds stays as it is: an owner that goes away takes nothing with it. A nil
// log discards.
func ServeHandover(ctx context.Context, l net.Listener, log *slog.Logger, h Handler, ownerUIDs ...uint32) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &handoverServer{log: orDiscard(log), h: h, stop: func() { cancel(ErrStop) }}
	l = AdmitUIDs(l, s.log, ownerUIDs...)
	defer s.conns.Wait()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	slots := make(chan struct{}, maxOwners)
	for {
		c, err := l.Accept()
		if err != nil {
			return acceptEnded(ctx, err)
		}
		select {
		case slots <- struct{}{}:
			s.conns.Go(func() { s.serve(ctx, c.(*net.UnixConn)); <-slots })
		default:
			s.log.Warn("too many owners connected", "limit", maxOwners)
			c.Close()
		}
	}
}

func acceptEnded(ctx context.Context, err error) error {
	switch {
	case errors.Is(context.Cause(ctx), ErrStop):
		return ErrStop
	case ctx.Err() != nil:
		return nil
	}
	return fmt.Errorf("accept owners: %w", err)
}

type handoverServer struct {
	log   *slog.Logger
	conns sync.WaitGroup
	stop  func()

	mu sync.Mutex // one call of h at a time
	h  Handler
}

func (s *handoverServer) serve(ctx context.Context, c *net.UnixConn) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	for {
		var req request
		files, err := readFrame(c, &req)
		if err == nil {
			err = s.answer(c, req, files)
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, io.EOF) && ctx.Err() == nil {
			s.log.Warn("owner's connection failed", "error", err)
		}
		return
	}
}

func (s *handoverServer) answer(c *net.UnixConn, req request, files []*os.File) error {
	var end reply
	if req.Op == opList {
		closeAll(files)
		for _, item := range s.list() {
			if err := writeFrame(c, reply{Item: &item}, nil); err != nil {
				return err
			}
		}
		end.PID = os.Getpid()
	} else if err := s.change(req, files); err != nil {
		s.log.Warn("hand-over refused", "op", req.Op, "key", req.Item.Key, "error", err)
		end.Error = err.Error()
	}
	if req.Op == opStop {
		defer s.stop()
		end.PID = os.Getpid()
	}
	return writeFrame(c, end, nil)
}

func (s *handoverServer) list() []Item {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.h.List()
}

func (s *handoverServer) change(req request, files []*os.File) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if req.Op == opPut {
		if err := req.Item.check(); err != nil {
			closeAll(files)
			return err
		}
		return s.h.Put(req.Item, files)
	}
	closeAll(files)
	switch req.Op {
	case opRemove:
		return s.h.Remove(req.Item.Key)
	case opStop:
		return nil
	}
	return fmt.Errorf("unknown operation %q", req.Op)
}
