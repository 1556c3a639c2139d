package dhcp

import (
	"context"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// OpenServer opens the socket for [Serve]: UDP port 67 of the calling thread's
// network namespace, bound to the device, allowed to broadcast. It needs
// privilege; the socket may then be handed to a process without any.
//
// Replies carry no UDP checksum (SO_NO_CHECK): between two ends on one machine
// the kernel leaves it unfinished, which clients on raw sockets take for a
// broken packet. Neutron mends that with a CHECKSUM rule in the namespace.
func OpenServer(device string) (*net.UDPConn, error) {
	conn, err := listen(device, serverPort, map[int]int{unix.SO_NO_CHECK: 1})
	if err != nil {
		return nil, fmt.Errorf("open dhcp server on %s: %w", device, err)
	}
	return conn, nil
}

// OpenServer6 opens the socket for [Serve6]: UDP port 547 of the calling
// thread's network namespace, bound to the device, in the group of all servers.
func OpenServer6(device string) (*net.UDPConn, error) {
	ifi, err := net.InterfaceByName(device)
	if err != nil {
		return nil, fmt.Errorf("open dhcpv6 server on %s: %w", device, err)
	}
	group := &unix.IPv6Mreq{Multiaddr: allServers, Interface: uint32(ifi.Index)}
	conn, err := member("udp6", fmt.Sprintf(":%d", serverPort6), device, group)
	if err != nil {
		return nil, fmt.Errorf("open dhcpv6 server on %s: %w", device, err)
	}
	return conn.(*net.UDPConn), nil
}

// member opens a socket of one device that is in a group there.
func member(network, at, device string, group *unix.IPv6Mreq) (net.PacketConn, error) {
	return control(network, at, func(fd int) error {
		if err := unix.BindToDevice(fd, device); err != nil {
			return fmt.Errorf("bind to device: %w", err)
		}
		return unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_ADD_MEMBERSHIP, group)
	})
}

// Ports and the group of RFC 8415 7.1, 7.2.
const (
	serverPort6 = 547
	clientPort6 = 546
)

var allServers = [16]byte{0: 0xff, 1: 0x02, 13: 1, 15: 2}

// listen opens a UDP socket that hears and sends on one device only.
func listen(device string, port int, more map[int]int) (*net.UDPConn, error) {
	set := func(fd int) error {
		if err := unix.BindToDevice(fd, device); err != nil {
			return fmt.Errorf("bind to device: %w", err)
		}
		flags := map[int]int{unix.SO_REUSEADDR: 1, unix.SO_BROADCAST: 1}
		for _, m := range []map[int]int{flags, more} {
			for opt, v := range m {
				if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, opt, v); err != nil {
					return fmt.Errorf("socket option %d: %w", opt, err)
				}
			}
		}
		return nil
	}
	conn, err := control("udp4", fmt.Sprintf(":%d", port), set)
	if err != nil {
		return nil, err
	}
	return conn.(*net.UDPConn), nil
}

// control opens a socket that set prepares before it is bound.
func control(network, at string, set func(fd int) error) (net.PacketConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		if e := raw.Control(func(fd uintptr) { err = set(int(fd)) }); e != nil {
			return e
		}
		return err
	}}
	return lc.ListenPacket(context.Background(), network, at)
}
