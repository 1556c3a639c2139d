package dhcp

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"
)

// OpenAdvertiser opens the socket for [Advertise] in the calling thread's
// network namespace: ICMPv6 of one device, of which it hears solicitations
// only.
func OpenAdvertiser(device string) (*net.IPConn, error) {
	ifi, err := net.InterfaceByName(device)
	if err != nil {
		return nil, fmt.Errorf("open advertiser on %s: %w", device, err)
	}
	group := &unix.IPv6Mreq{Multiaddr: [16]byte{0: 0xff, 1: 0x02, 15: 2}, Interface: uint32(ifi.Index)}
	conn, err := member("ip6:ipv6-icmp", "::", device, group)
	if err != nil {
		return nil, fmt.Errorf("open advertiser on %s: %w", device, err)
	}
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeRouterSolicitation)
	if err := ipv6.NewPacketConn(conn).SetICMPFilter(&filter); err != nil {
		conn.Close()
		return nil, fmt.Errorf("open advertiser on %s: filter: %w", device, err)
	}
	return conn.(*net.IPConn), nil
}

// Of RFC 4861 6.2 and 10: the first advertisements come soon, later ones at
// random times; who solicits is answered at once, alone where it has an address.
const (
	firstInterval = 16 * time.Second
	firstOnes     = 3
	alonePerSec   = 20
	toAllEvery    = 3 * time.Second
)

// Advertise sends the advertisement that current returns, unasked and to whoever
// solicits, over a socket from [OpenAdvertiser], until ctx ends, and then
// returns nil; the caller keeps the socket. current is called from several
// goroutines and must not block; nil sends nothing.
func Advertise(ctx context.Context, conn *net.IPConn, current func() *Advertisement, log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(ctx)
	var unasked sync.WaitGroup
	defer unasked.Wait()
	defer cancel()
	a := &advertiser{conn: ipv6.NewPacketConn(conn), raw: conn, current: current, log: log,
		alone: rate.NewLimiter(alonePerSec, alonePerSec), all: rate.NewLimiter(rate.Every(toAllEvery), firstOnes)}
	unasked.Go(func() { a.unasked(ctx) })
	return receive(ctx, conn, log, a.next)
}

type advertiser struct {
	conn       *ipv6.PacketConn
	raw        *net.IPConn
	current    func() *Advertisement
	log        *slog.Logger
	alone, all *rate.Limiter
	buf        [maxPacket]byte
}

var allNodes = netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 1})

func (a *advertiser) unasked(ctx context.Context) {
	for n := 0; ; n++ {
		a.send(allNodes)
		wait := minInterval + rand.N(maxInterval-minInterval)
		if n < firstOnes {
			wait = min(wait, firstInterval)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// next answers one solicitation. RFC 4861 6.1.1, 6.2.6
func (a *advertiser) next() error {
	n, from, err := a.raw.ReadFromIP(a.buf[:])
	if err != nil {
		return err
	}
	addr, ok := netip.AddrFromSlice(from.IP)
	if !ok || n < 8 || a.buf[0] != typeSolicitation {
		return nil
	}
	switch {
	case addr.IsLinkLocalUnicast() && a.alone.Allow():
		a.send(addr)
	case addr.IsUnspecified() && a.all.Allow():
		a.send(allNodes)
	}
	return nil
}

// send names its source: the device may have other link-local addresses, and
// the router's is the one that hosts will use.
func (a *advertiser) send(to netip.Addr) {
	ad := a.current()
	if ad == nil {
		return
	}
	cm := &ipv6.ControlMessage{HopLimit: 255, Src: ad.linkLocal().AsSlice()}
	if _, err := a.conn.WriteTo(ad.Bytes(), cm, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		a.log.Debug("advertisement not sent", "to", to.String(), "error", err)
	}
}
