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

	mu    sync.Mutex // one call of h at a time
	h     Handler
	taker *net.UnixConn // who takes all for a successor; nil for nobody
}

func (s *handoverServer) serve(ctx context.Context, c *net.UnixConn) {
	defer c.Close()
	defer s.release(c)
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
	send := func(item Item, files []*os.File) error { return writeFrame(c, reply{Item: &item}, files) }
	err := s.do(c, req, files, send)
	var no refused
	switch {
	case errors.As(err, &no):
		s.log.Warn("hand-over refused", "op", req.Op, "key", req.Item.Key, "error", err)
		end.Error = err.Error()
	case err != nil:
		return err
	case req.Op == opList || req.Op == opTake:
		end.PID = os.Getpid()
	}
	if req.Op == opStop {
		defer s.stop()
		end.PID = os.Getpid()
	}
	return writeFrame(c, end, nil)
}

// do does what is asked. An error that is no refusal is one of the connection.
func (s *handoverServer) do(c *net.UnixConn, req request, files []*os.File, send func(Item, []*os.File) error) error {
	switch req.Op {
	case opPut:
		return s.change(files, func() error { return s.put(req.Item, files) })
	case opRemove:
		closeAll(files)
		return s.change(nil, func() error { return s.h.Remove(req.Item.Key) })
	}
	closeAll(files)
	switch req.Op {
	case opList:
		for _, item := range s.list() {
			if err := send(item, nil); err != nil {
				return err
			}
		}
		return nil
	case opTake:
		return s.give(c, send)
	case opStop:
		return nil
	}
	return refused(fmt.Sprintf("unknown operation %q", req.Op))
}

func (s *handoverServer) list() []Item {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.h.List()
}

func (s *handoverServer) put(item Item, files []*os.File) error {
	if err := item.check(); err != nil {
		closeAll(files)
		return err
	}
	return s.h.Put(item, files)
}

// change calls f, which changes what is held and takes the files; its error is
// a refusal.
func (s *handoverServer) change(files []*os.File, f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taker != nil {
		closeAll(files)
		return refused(errGiven.Error())
	}
	if err := f(); err != nil {
		return refused(err.Error())
	}
	return nil
}
