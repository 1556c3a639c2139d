package dhcp

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// Serve6 is [Serve] for DHCPv6, over a socket from [OpenServer6].
func Serve6(ctx context.Context, conn *net.UDPConn, lookup func() *Network6, on func(Event), log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := server6{conn: conn, lookup: lookup, on: on, log: log, limit: limiter{}}
	return receive(ctx, conn, log, s.next)
}

type server6 struct {
	conn   *net.UDPConn
	lookup func() *Network6
	on     func(Event)
	log    *slog.Logger
	limit  limiter
	buf    [maxPacket + 1]byte
}

func (s *server6) next() error {
	n, from, err := s.conn.ReadFromUDPAddrPort(s.buf[:])
	if err != nil {
		return err
	}
	s.handle(s.buf[:n], from, time.Now())
	return nil
}

func (s *server6) handle(packet []byte, from netip.AddrPort, now time.Time) {
	network := s.lookup()
	mac, ok := macOf(from.Addr())
	if network == nil || !ok {
		return
	}
	if _, known := network.Hosts[mac]; !known || !s.limit.allow(mac, now, len(network.Hosts)) {
		return
	}
	reply, ev, err := network.Reply(packet, from.Addr(), now)
	if err != nil {
		s.log.Warn("dhcpv6 packet not answered", "error", err)
		return
	}
	if reply != nil {
		to := netip.AddrPortFrom(from.Addr(), clientPort6)
		if _, err := s.conn.WriteToUDPAddrPort(reply, to); err != nil {
			s.log.Warn("dhcpv6 reply not sent", "to", to.String(), "error", err)
		}
	}
	if ev == nil {
		return
	}
	s.log.Debug("dhcp", "event", *ev)
	if s.on != nil {
		s.on(*ev)
	}
}
