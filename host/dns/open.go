package dns

import (
	"context"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Port of the service. RFC 1035 4.2
const Port = 53

// Open opens the sockets of a [Server] in the calling thread's network
// namespace, for all addresses of one device; with v6, for both address
// families. They may then be handed to a process without privilege.
func Open(device string, v6 bool) (*net.UDPConn, *net.TCPListener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if e := raw.Control(func(fd uintptr) { err = set(int(fd), device, v6) }); e != nil {
			return e
		}
		return err
	}}
	family := "4"
	if v6 {
		family = ""
	}
	at := fmt.Sprintf(":%d", Port)
	udp, err := lc.ListenPacket(context.Background(), "udp"+family, at)
	if err != nil {
		return nil, nil, fmt.Errorf("open dns server on %s: %w", device, err)
	}
	tcp, err := lc.Listen(context.Background(), "tcp"+family, at)
	if err != nil {
		udp.Close()
		return nil, nil, fmt.Errorf("open dns server on %s: %w", device, err)
	}
	return udp.(*net.UDPConn), tcp.(*net.TCPListener), nil
}

// set binds the socket to the device, and has it say which address a packet was
// sent to.
func set(fd int, device string, v6 bool) error {
	if err := unix.BindToDevice(fd, device); err != nil {
		return fmt.Errorf("bind to device: %w", err)
	}
	if v6 {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
}
