package dhcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"time"
)

// Serve answers clients over conn until ctx ends, and then returns nil. It is
// meant to run without privilege over a socket from [OpenServer]; the caller
// keeps ownership of conn.
//
// lookup is called for every packet and gives the network as it is now; nil
// answers nobody. on (may be nil) hears of every exchange with a known client.
// Both are called from this goroutine and must not block. A client that sends
// more than a few packets a second is not heard.
//
// An error is a socket that can no longer be read.
func Serve(ctx context.Context, conn net.PacketConn, lookup func() *Network, on func(Event), log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := server{conn: conn, lookup: lookup, on: on, log: log, limit: limiter{}}
	return receive(ctx, conn, log, s.next)
}

// receive calls next, which reads one packet from conn, until ctx ends.
func receive(ctx context.Context, conn net.PacketConn, log *slog.Logger, next func() error) error {
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for failures := 0; ; {
		err := next()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			failures = 0
			continue
		case failures == maxFailures || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("read %s socket: %w", conn.LocalAddr().Network(), err)
		}
		// The interface may be down for a moment (ENETDOWN).
		failures++
		log.Warn("socket failed", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// maxFailures in a row, a tenth of a second apart, end Serve.
const maxFailures = 50

type server struct {
	conn   net.PacketConn
	lookup func() *Network
	on     func(Event)
	log    *slog.Logger
	limit  limiter
	buf    [maxPacket + 1]byte
}

// next reads and handles one packet; its error is the reading's.
func (s *server) next() error {
	n, from, err := s.conn.ReadFrom(s.buf[:])
	if err != nil {
		return err
	}
	if udp, ok := from.(*net.UDPAddr); ok {
		s.handle(s.buf[:n], udp.AddrPort().Addr().Unmap(), time.Now())
	}
	return nil
}

// handle answers a packet that came from an address. One from outside the
// network came over a router: its sender may have the MAC of a client here.
func (s *server) handle(packet []byte, from netip.Addr, now time.Time) {
	mac, ok := clientMAC(packet)
	if !ok {
		return
	}
	network := s.lookup()
	if network == nil || !from.IsUnspecified() && !network.Serves(from) {
		return
	}
	if _, known := network.Hosts[mac]; !known || !s.limit.allow(mac, now, len(network.Hosts)) {
		return
	}
	reply, dst, ev, err := network.Reply(packet, now)
	if err != nil {
		s.log.Warn("dhcp packet not answered", "error", err)
		return
	}
	if reply != nil {
		s.send(reply, dst)
	}
	if ev == nil {
		return
	}
	s.log.Debug("dhcp", "event", *ev)
	if s.on != nil {
		s.on(*ev)
	}
}

func (s *server) send(reply []byte, dst netip.AddrPort) {
	if _, err := s.conn.WriteTo(reply, net.UDPAddrFromAddrPort(dst)); err != nil {
		s.log.Warn("dhcp reply not sent", "to", dst.String(), "error", err)
	}
}
