package nsproxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"imprint/base/daemon"
	"imprint/base/netns"
)

// metadataAddrs are the addresses of the service.
func metadataAddrs() []netip.Addr {
	return []netip.Addr{netip.AddrFrom4([4]byte{169, 254, 169, 254}), netip.MustParseAddr("fe80::a9fe:a9fe")}
}

// RunAlone serves one router or network, whose key is as in the package's
// comment, on listeners that it takes over, until ctx ends. There is no owner
// that could hand over more. Like [Run] it refuses to run with any privilege,
// and gives up the system calls that it does not need. ready is called when
// connections are accepted.
func RunAlone(ctx context.Context, key string, listeners []*os.File, agentSocket string, log *slog.Logger, ready func()) error {
	if err := giveUp(); err != nil {
		return err
	}
	p := New(agentSocket, DefaultLimits(), log)
	defer p.Close()
	if err := p.Put(daemon.Item{Key: key}, listeners); err != nil {
		return fmt.Errorf("namespace proxy: %w", err)
	}
	ready()
	<-ctx.Done()
	return nil
}

// Listen opens what RunAlone takes over, in the network namespace of this
// process: for a network port at each metadata address that an interface has,
// for a router, or where there is none, port at any address of both families.
func Listen(ctx context.Context, key string, port uint16) ([]*os.File, error) {
	var sockets []netip.AddrPort
	if strings.HasPrefix(key, "network/") {
		addrs, err := ownMetadataAddrs()
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			sockets = append(sockets, netip.AddrPortFrom(a, port))
		}
	}
	if len(sockets) == 0 {
		return listenAny(ctx, port)
	}
	var files []*os.File
	for _, s := range sockets {
		more, err := listenEarly(ctx, s)
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, err
		}
		files = append(files, more...)
	}
	return files, nil
}

func listenAny(ctx context.Context, port uint16) ([]*os.File, error) {
	ns, err := netns.Current()
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	any := netip.IPv4Unspecified()
	if ns.HasIPv6() {
		any = netip.IPv6Unspecified()
	}
	l, err := ns.ListenTCP(ctx, "tcp", netip.AddrPortFrom(any, port))
	if err != nil {
		return nil, err
	}
	return daemon.Files(l)
}

// listenEarly listens at an address that the kernel may still be checking for
// a duplicate. ip(7), IP_FREEBIND
func listenEarly(ctx context.Context, at netip.AddrPort) ([]*os.File, error) {
	network, level, option := "tcp4", unix.IPPROTO_IP, unix.IP_FREEBIND
	if at.Addr().Is6() {
		network, level, option = "tcp6", unix.IPPROTO_IPV6, unix.IPV6_FREEBIND
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var setErr error
		err := c.Control(func(fd uintptr) { setErr = unix.SetsockoptInt(int(fd), level, option, 1) })
		return errors.Join(err, setErr)
	}}
	l, err := config.Listen(ctx, network, at.String())
	if err != nil {
		return nil, err
	}
	return daemon.Files(l.(*net.TCPListener))
}

// ownMetadataAddrs lists the metadata addresses of this namespace; link-local
// ones have their interface as zone.
func ownMetadataAddrs() ([]netip.Addr, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var own []netip.Addr
	for _, link := range links {
		addrs, err := link.Addrs()
		if err != nil {
			return nil, fmt.Errorf("addresses of %s: %w", link.Name, err)
		}
		for _, a := range addrs {
			prefix, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			for _, want := range metadataAddrs() {
				if prefix.Addr() != want {
					continue
				}
				if want.Is6() {
					want = want.WithZone(strconv.Itoa(link.Index))
				}
				own = append(own, want)
			}
		}
	}
	return own, nil
}
