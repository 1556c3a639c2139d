package dhcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Client acquires and renews leases. The zero value is ready; it is safe for
// concurrent use on different interfaces. It needs CAP_NET_RAW, and works in
// the network namespace of the calling thread.
type Client struct {
	// HostName is sent as option 12; empty sends none.
	HostName string
	// Log hears of every packet sent at debug level; nil discards.
	Log *slog.Logger
}

// wanted is the parameter request list. RFC 3442 asks for 121 before 3.
var wanted = []dhcpv4.OptionCode{
	dhcpv4.OptionSubnetMask, dhcpv4.OptionBroadcastAddress,
	dhcpv4.OptionClasslessStaticRoute, optionMSRoutes, dhcpv4.OptionRouter,
	dhcpv4.OptionDomainNameServer, dhcpv4.OptionDomainName, dhcpv4.OptionDNSDomainSearchList,
	dhcpv4.OptionHostName, dhcpv4.OptionInterfaceMTU, dhcpv4.OptionNTPServers,
}

// Acquire asks for a lease on an interface that is up; it need not have an
// address. It repeats itself, first quickly and then ever more slowly
// (RFC 2131 4.1), until it has one or ctx ends.
func (c *Client) Acquire(ctx context.Context, ifname string) (Lease, error) {
	ifi, err := net.InterfaceByName(ifname)
	if err != nil {
		return Lease{}, fmt.Errorf("acquire lease on %s: %w", ifname, err)
	}
	l, err := openRaw(ifi)
	if err != nil {
		return Lease{}, fmt.Errorf("acquire lease: %w", err)
	}
	defer l.Close()
	s := c.session(ctx, l, ifi)
	defer s.stop()
	for {
		lease, err := s.acquire()
		if err == nil || !errors.Is(err, ErrRefused) {
			return lease, err
		}
		// A NAK after an OFFER: begin anew, RFC 2131 3.1 (5), in a while.
		s.log.Debug("dhcp offer taken back", "interface", ifname)
		if err := s.pause(); err != nil {
			return Lease{}, err
		}
	}
}

// Renew prolongs a lease whose address is on its interface: it asks the
// lease's own server by unicast and, if that stays silent, any server. The
// error is [ErrRefused] if the address has to be given up.
func (c *Client) Renew(ctx context.Context, old Lease) (Lease, error) {
	ifi, err := net.InterfaceByName(old.Interface)
	if err != nil {
		return Lease{}, fmt.Errorf("renew lease on %s: %w", old.Interface, err)
	}
	own := func() (link, error) { return openUDP(ifi.Name, old.ServerID) }
	anyone := func() (link, error) { return openUDP(ifi.Name, broadcast) }
	lease, err := c.renewBy(ctx, ifi, old, own, unicastTries)
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrRefused) {
		return lease, err
	}
	return c.renewBy(ctx, ifi, old, anyone, 0)
}

// unicastTries is how often the lease's own server is asked before any is.
const unicastTries = 3

func (c *Client) renewBy(ctx context.Context, ifi *net.Interface, old Lease, open func() (link, error), tries int) (Lease, error) {
	l, err := open()
	if err != nil {
		return Lease{}, fmt.Errorf("renew lease on %s: %w", ifi.Name, err)
	}
	defer l.Close()
	s := c.session(ctx, l, ifi)
	defer s.stop()
	return s.confirm(tries, netip.Addr{}, dhcpv4.WithClientIP(old.Address.Addr().AsSlice()))
}

func (c *Client) session(ctx context.Context, l link, ifi *net.Interface) *session {
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(ctx)
	context.AfterFunc(ctx, func() { l.SetReadDeadline(time.Unix(1, 0)) })
	return &session{ctx: ctx, stop: cancel, link: l, ifi: ifi, name: c.HostName, log: log, began: time.Now()}
}

// delay is how long to wait for an answer to the nth packet, half a second
// first and a minute at most, a quarter more or less.
func delay(n int) time.Duration {
	d := min(500*time.Millisecond<<min(n, 10), 64*time.Second)
	return d*3/4 + rand.N(d/2)
}
