package feed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"imprint/host/cloud"
)

// session is the server's side of one connection.
type session struct {
	server *Server
	peer   Peer
	conn   net.Conn
	// identify says again who is at the other end.
	identify func(net.Conn) (Peer, error)

	questions questions
	asks      chan frame    // questions to send
	gone      chan struct{} // closed when the connection has ended
}

func newSession(server *Server, peer Peer, conn net.Conn, identify func(net.Conn) (Peer, error)) *session {
	return &session{
		server: server, peer: peer, conn: conn, identify: identify,
		asks: make(chan frame, maxQuestions), gone: make(chan struct{}),
	}
}

// run returns why the connection ended, never nil.
func (s *session) run(ctx context.Context) error {
	defer close(s.gone)
	if s.peer.Parts.Compute {
		s.server.computes.enter(s)
		defer s.server.computes.leave(s)
	}
	g, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { s.conn.Close() })()
	box, acks := make(chan cloud.Slice, 1), make(chan frame, window)
	g.Go(func() error { return s.drain(ctx, box) })
	g.Go(func() error { return s.write(ctx, box, acks) })
	g.Go(func() error { return s.read(ctx, acks) })
	return g.Wait()
}

// drain takes slices as they come, so that a slow node holds nobody up.
func (s *session) drain(ctx context.Context, box chan cloud.Slice) error {
	for slice := range s.server.Source.Slices(ctx, s.peer) {
		offer(box, slice)
	}
	return errors.New("there are no more slices for the node")
}

func (s *session) write(ctx context.Context, box <-chan cloud.Slice, acks <-chan frame) error {
	w := &writer{conn: s.conn, buf: bufio.NewWriterSize(s.conn, 64<<10), limit: maxRecord}
	beat := time.NewTicker(defaultHeartbeat)
	defer beat.Stop()
	last, revision := cloud.NewSlice(), int64(0)
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case slice := <-box:
			revision, err = s.batch(w, last, slice, revision)
			last = slice
		case f := <-acks:
			err = w.send(f)
		case f := <-s.asks:
			err = w.send(f)
		case <-beat.C:
			if err := s.stillPeer(); err != nil {
				return err
			}
			err = w.send(frame{Type: typeBeat})
		}
		if err = errors.Join(err, w.flush()); err != nil {
			return fmt.Errorf("send to node: %w", err)
		}
	}
}

// stillPeer checks that the other end is who it was.
func (s *session) stillPeer() error {
	peer, err := identified(s.conn, s.identify)
	if err == nil && peer != s.peer {
		err = fmt.Errorf("it is %+v now", peer)
	}
	return err
}

// batch sends what changed, if anything did, and returns the revision that the
// node then has. The first slice is sent even when it is empty.
func (s *session) batch(w *writer, from, to cloud.Slice, revision int64) (int64, error) {
	next, sent := revision+1, 0
	err := diff(from, to, func(f frame) error {
		f.Revision = next
		sent++
		err := w.send(f)
		if errors.Is(err, errTooLarge) {
			s.server.log().Error("record is too large for its node", "node", s.peer.Node, "kind", f.Kind, "id", f.ID, "error", err)
			return nil
		}
		return err
	})
	if err != nil || sent == 0 && revision > 0 {
		return revision, err
	}
	return next, w.send(frame{Type: typeSynced, Revision: next})
}

func (s *session) read(ctx context.Context, acks chan<- frame) error {
	r := bufio.NewReader(s.conn)
	for ctx.Err() == nil {
		s.conn.SetReadDeadline(time.Now().Add(3 * defaultHeartbeat))
		f, err := s.next(r)
		if err != nil {
			return fmt.Errorf("receive from node: %w", err)
		}
		if f.Type != typeReport {
			continue
		}
		select {
		case acks <- s.take(ctx, f):
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// next reads a frame, and takes it when it is an answer, which alone may be
// large.
func (s *session) next(r io.Reader) (frame, error) {
	size, err := readSize(r)
	if err != nil {
		return frame{}, err
	}
	f, err := readBody(r, size, s.questions.limit())
	if err == nil && f.Type == typeAnswer {
		return f, s.questions.answer(f)
	}
	if err == nil && size > maxReport {
		err = fmt.Errorf("%s frame of %d bytes; at most %d: %w", f.Type, size, maxReport, errTooLarge)
	}
	return f, err
}

// take hands a report to the sink and returns the answer.
func (s *session) take(ctx context.Context, f frame) frame {
	if err := s.peer.mayReport(f.Report); err != nil {
		return frame{Type: typeAck, Seq: f.Seq, Error: err.Error()}
	}
	err := s.server.Sink(ctx, s.peer.Node, *f.Report)
	switch {
	case err == nil:
		return frame{Type: typeAck, Seq: f.Seq}
	case final(err):
		return frame{Type: typeAck, Seq: f.Seq, Error: err.Error()}
	}
	return frame{Type: typeAgain, Seq: f.Seq, Error: err.Error()}
}

// writer sends frames through a buffer, each within writeTimeout.
type writer struct {
	conn  net.Conn
	buf   *bufio.Writer
	limit int // of a frame, answers excepted
}

func (w *writer) send(f frame) error {
	w.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if f.Type == typeAnswer {
		return writeFrame(w.buf, f, maxAnswer)
	}
	return writeFrame(w.buf, f, w.limit)
}

func (w *writer) flush() error {
	w.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	return w.buf.Flush()
}
