package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"imprint/base/daemon"
)

// Bounds of what clients cost.
const (
	perSecond, burst = 200, 400 // queries of one address
	maxQuery         = 4096     // bytes over UDP
	maxConns         = 64       // TCP connections of one network
	maxConnsEach     = 8        // of one address
	idleTimeout      = 10 * time.Second
	maxPerConn       = 100 // queries over one connection
	maxFailures      = 50  // of a socket in a row
)

// Server answers on the sockets of one network; see [Open].
type Server struct {
	UDP *net.UDPConn
	TCP *net.TCPListener
	// Zone gives the zone as it is now; it is called for every query, from
	// several goroutines, and must not block. Nil answers nobody.
	Zone func() *Zone
	// Log hears of failures; nil discards.
	Log *slog.Logger
}

// Serve answers until ctx ends, and then returns nil; the sockets stay the
// caller's. An error is a socket that can no longer be read.
func (s Server) Serve(ctx context.Context) error {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &run{Server: s, ctx: ctx, rate: daemon.NewBuckets(perSecond, burst), forwards: make(chan struct{}, maxForwards), conns: map[netip.Addr]int{}}
	stop := context.AfterFunc(ctx, func() {
		s.UDP.SetReadDeadline(time.Unix(1, 0))
		s.TCP.SetDeadline(time.Unix(1, 0))
	})
	defer stop()
	failed := make(chan error, 2)
	r.tasks.Go(func() { failed <- r.again("udp", r.udp) })
	r.tasks.Go(func() { failed <- r.again("tcp", r.tcp) })
	err := <-failed
	cancel()
	err = errors.Join(err, <-failed)
	r.tasks.Wait()
	return err
}

type run struct {
	Server
	ctx      context.Context
	rate     *daemon.Buckets
	forwards chan struct{}
	tasks    sync.WaitGroup

	mu    sync.Mutex
	conns map[netip.Addr]int
	total int
}

// again repeats next until ctx ends; a failure may pass (an interface that is
// down for a moment).
func (r *run) again(network string, next func() error) error {
	for failures := 0; ; {
		err := next()
		switch {
		case r.ctx.Err() != nil:
			return nil
		case err == nil:
			failures = 0
			continue
		case failures == maxFailures || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("dns socket, %s: %w", network, err)
		}
		failures++
		select {
		case <-r.ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// udp takes one packet. The control data that came with it names the address
// that it was sent to, and sends the answer from there.
func (r *run) udp() error {
	var buf [maxQuery]byte
	var oob [128]byte
	n, oobn, _, from, err := r.UDP.ReadMsgUDPAddrPort(buf[:], oob[:])
	if err != nil {
		return err
	}
	z := r.Zone()
	if z == nil || !z.serves(from.Addr()) || !r.rate.Spend(client(from).String()) {
		return nil
	}
	send := func(b []byte) {
		if b == nil {
			return
		}
		if _, _, err := r.UDP.WriteMsgUDPAddrPort(b, oob[:oobn], from); err != nil {
			r.Log.Debug("dns reply not sent", "to", from.String(), "error", err)
		}
	}
	reply, v := z.answer(buf[:n], 0)
	switch v {
	case answered:
		send(reply)
	case forwarded:
		packet := append([]byte(nil), buf[:n]...)
		if !r.look("udp", z, packet, send) {
			send(failure(packet))
		}
	}
	return nil
}

// look hands a query on and gives send its answer later; false when too many
// are under way.
func (r *run) look(network string, z *Zone, packet []byte, send func([]byte)) bool {
	select {
	case r.forwards <- struct{}{}:
	default:
		return false
	}
	r.tasks.Go(func() {
		defer func() { <-r.forwards }()
		send(r.lookup(network, z, packet))
	})
	return true
}

func (r *run) lookup(network string, z *Zone, packet []byte) []byte {
	b, err := z.forward(r.ctx, network, packet)
	if err != nil {
		return failure(packet)
	}
	return b
}

func (r *run) tcp() error {
	conn, err := r.TCP.AcceptTCP()
	if err != nil {
		return err
	}
	from := client(conn.RemoteAddr().(*net.TCPAddr).AddrPort())
	z := r.Zone()
	if z == nil || !z.serves(from) || !r.enter(from) {
		conn.Close()
		return nil
	}
	r.tasks.Go(func() {
		defer r.leave(from)
		defer conn.Close()
		defer context.AfterFunc(r.ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
		for range maxPerConn {
			if !r.converse(conn, from) {
				return
			}
		}
	})
	return nil
}

func (r *run) enter(from netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.total >= maxConns || r.conns[from] >= maxConnsEach {
		return false
	}
	r.total++
	r.conns[from]++
	return true
}

func (r *run) leave(from netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total--
	if r.conns[from]--; r.conns[from] == 0 {
		delete(r.conns, from)
	}
}

// converse answers one query of a connection, and reports whether to go on.
func (r *run) converse(conn *net.TCPConn, from netip.Addr) bool {
	conn.SetDeadline(time.Now().Add(idleTimeout))
	packet, err := readTCP(conn)
	z := r.Zone()
	if err != nil || r.ctx.Err() != nil || z == nil || !r.rate.Spend(from.String()) {
		return false
	}
	reply, v := z.answer(packet, 65535)
	if v == forwarded {
		select {
		case r.forwards <- struct{}{}:
			reply = r.lookup("tcp", z, packet)
			<-r.forwards
		default:
			reply = failure(packet)
		}
	}
	return reply != nil && writeTCP(conn, reply) == nil
}
