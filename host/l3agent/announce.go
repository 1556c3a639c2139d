package l3agent

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"imprint/base/netns"
	"imprint/host/cloud"
)

// leg is a router's link in its namespace, and the addresses that it has.
type leg struct {
	netns string
	index int
	port  cloud.DesiredPort
	addrs []netip.Prefix
}

// news are the addresses that l has and old had not; of another link all.
func (l leg) news(old leg) leg {
	if l.index == old.index && l.netns == old.netns {
		l.addrs = slices.DeleteFunc(slices.Clone(l.addrs), func(p netip.Prefix) bool { return slices.Contains(old.addrs, p) })
	}
	return l
}

// announceAfter are the times after a leg was made at which its addresses are
// announced: the first may be lost, because a new link is not at once ready.
var announceAfter = []time.Duration{0, 100 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second}

// announce tells the neighbors of new legs that their addresses are at another
// MAC now. neutron: agent/linux/ip_lib.py send_ip_addr_adv_notif
func (a *Agent) announce(ctx context.Context, legs []leg) {
	began := time.Now()
	for _, after := range announceAfter {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(began.Add(after))):
		}
		for _, l := range legs {
			if err := l.announce(); err != nil {
				a.log.Debug("leg not announced", "port_id", l.port.ID, "netns", l.netns, "error", err)
			}
		}
	}
}

// announce sends one gratuitous ARP request for each IPv4 address. RFC 5227
// section 3. For IPv6 the kernel does the like (ndisc_notify).
func (l leg) announce() error {
	ns, err := netns.Open(l.netns)
	if err != nil {
		return err
	}
	defer ns.Close()
	fd := -1
	err = ns.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return fmt.Errorf("open packet socket in namespace %s: %w", l.netns, err)
	}
	defer unix.Close(fd)
	to := unix.SockaddrLinklayer{Ifindex: l.index, Halen: 6}
	for _, p := range l.addrs {
		if addr := p.Addr(); addr.Is4() {
			if err := unix.Sendto(fd, gratuitous(l.port.MAC, addr), 0, &to); err != nil {
				return fmt.Errorf("announce %s: %w", addr, err)
			}
		}
	}
	return nil
}

// gratuitous is an Ethernet frame with an ARP request of addr for itself. RFC 826
func gratuitous(mac cloud.MAC, addr netip.Addr) []byte {
	hw, ip := mac.Hardware(), addr.AsSlice()
	f := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	f = append(f, hw...)
	f = append(f, 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1) // ARP, Ethernet, IPv4, request
	f = append(append(f, hw...), ip...)
	return append(append(f, 0, 0, 0, 0, 0, 0), ip...)
}
