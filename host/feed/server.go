package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"imprint/host/cloud"
)

// Server feeds nodes. Its fields are set before Serve and not changed after;
// Serve may run for several listeners at once.
type Server struct {
	Source Source
	Sink   Sink
	Log    *slog.Logger // nil discards

	sessions  counter // connections of nodes, by node and parts
	computes  computes
	greetings counter // connections of peers that are not known yet, by address
}

// Serve accepts nodes on l until ctx ends, then closes l, waits for its
// goroutines and returns nil. identify says which node is at the other end, and
// which parts of it, from the connection alone (credentials of the peer, its
// certificate); an error, or no part, turns it away. It may take 10 s, for a TLS handshake: then the
// connection's deadline is over. It is asked again every 10 s as long as the
// connection stands, which ends when the answer is another: a certificate has
// expired or was revoked. Safe for concurrent use.
func (s *Server) Serve(ctx context.Context, l net.Listener, identify func(net.Conn) (Peer, error)) error {
	ctx, cancel := context.WithCancel(ctx)
	seldom := &rate.Sometimes{First: 10, Interval: time.Second} // strangers must not fill the log
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	defer l.Close()
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accept nodes: %w", err)
		}
		if err != nil {
			s.log().Warn("node could not be accepted", "error", err)
			pause(ctx, firstPause)
			continue
		}
		running.Go(func() { s.serve(ctx, c, identify, seldom) })
	}
}

func (s *Server) log() *slog.Logger { return orDiscard(s.Log) }

func (s *Server) serve(ctx context.Context, c net.Conn, identify func(net.Conn) (Peer, error), seldom *rate.Sometimes) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	peer, err := s.greet(c, identify)
	if err != nil {
		seldom.Do(func() { s.log().Warn("node turned away", "remote", addressOf(c), "error", err) })
		return
	}
	defer s.sessions.leave(peer.key())
	s.log().Info("node connected", "node", peer.Node, "parts", peer.Parts)
	err = newSession(s, peer, c, identify).run(ctx)
	if ctx.Err() == nil {
		s.log().Info("node disconnected", "node", peer.Node, "parts", peer.Parts, "reason", err)
	}
}

// greet returns the peer, whose node has then entered.
func (s *Server) greet(c net.Conn, identify func(net.Conn) (Peer, error)) (Peer, error) {
	from := addressOf(c)
	if !s.greetings.enter(from, maxPerAddress, maxGreetings) {
		return Peer{}, errors.New("too many peers say hello")
	}
	defer s.greetings.leave(from)
	c.SetDeadline(time.Now().Add(helloTimeout))
	peer, err := identified(c, identify)
	if err != nil {
		return Peer{}, err
	}
	hello, err := readFrame(c, maxReport)
	if err != nil {
		return Peer{}, fmt.Errorf("hello of node %s: %w", peer.Node, err)
	}
	if hello.Type != typeHello || hello.Version != version {
		return Peer{}, s.refuse(c, peer.Node, fmt.Sprintf("protocol version %d is wanted, %s %d came", version, hello.Type, hello.Version))
	}
	if peer.Parts == (Parts{}) {
		return Peer{}, s.refuse(c, peer.Node, fmt.Sprintf("node %s has no part that the feed serves", peer.Node))
	}
	if !s.sessions.enter(peer.key(), maxPerPart, maxSessions) {
		return Peer{}, s.refuse(c, peer.Node, fmt.Sprintf("node %s or the server has too many connections", peer.Node))
	}
	if err := writeFrame(c, frame{Type: typeHello, Version: version, Node: peer.Node}, maxReport); err != nil {
		s.sessions.leave(peer.key())
		return Peer{}, fmt.Errorf("hello to node %s: %w", peer.Node, err)
	}
	return peer, c.SetDeadline(time.Time{})
}

// addressOf returns the address that c comes from, without its port.
func addressOf(c net.Conn) string {
	addr, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return c.RemoteAddr().Network()
	}
	return addr.IP.String()
}

func (s *Server) refuse(c net.Conn, node, reason string) error {
	err := fmt.Errorf("node %s: %s", node, reason)
	return errors.Join(err, writeFrame(c, frame{Type: typeRefuse, Error: reason}, maxReport))
}

// final reports whether trying again would not help.
func final(err error) bool {
	switch cloud.KindOf(err) {
	case cloud.Invalid, cloud.Forbidden, cloud.NotFound:
		return true
	}
	return false
}
