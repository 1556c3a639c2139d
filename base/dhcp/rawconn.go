package dhcp

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// link sends and receives DHCP payloads on one interface that need not have an
// address.
type link interface {
	// Send does not wait and is not subject to the deadline.
	Send(payload []byte) error
	// Receive returns the next payload for the client's port.
	Receive(buf []byte) ([]byte, error)
	SetReadDeadline(time.Time) error
	Close() error
}

// rawLink is a packet socket (packet(7)) without link-layer header.
type rawLink struct {
	f     *os.File
	raw   syscall.RawConn
	index int
}

// openRaw opens a packet socket in the calling thread's network namespace.
func openRaw(ifi *net.Interface) (link, error) {
	const flags = unix.SOCK_DGRAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	// Protocol 0 receives nothing until bind, by when the filter is in place.
	fd, err := unix.Socket(unix.AF_PACKET, flags, 0)
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), "packet:"+ifi.Name)
	if err := setupRaw(fd, ifi.Index); err != nil {
		f.Close()
		return nil, fmt.Errorf("packet socket on %s: %w", ifi.Name, err)
	}
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("packet socket on %s: %w", ifi.Name, err)
	}
	return &rawLink{f: f, raw: raw, index: ifi.Index}, nil
}

func setupRaw(fd, index int) error {
	filter := clientFilter()
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog); err != nil {
		return fmt.Errorf("attach filter: %w", err)
	}
	return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_IP), Ifindex: index})
}

// clientFilter lets pass UDP that is no later fragment and goes to port 68.
func clientFilter() []unix.SockFilter {
	return []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 9},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 17, Jf: 6},
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 6},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: 0x1fff, Jt: 4},
		{Code: unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH, K: 0},
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_IND, K: 2},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: clientPort, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
}

func networkOrder(v uint16) uint16 { return v<<8 | v>>8 }

func (l *rawLink) Send(payload []byte) error {
	to := &unix.SockaddrLinklayer{
		Protocol: networkOrder(unix.ETH_P_IP),
		Ifindex:  l.index,
		Halen:    6,
		Addr:     [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	}
	var err error
	werr := l.raw.Write(func(fd uintptr) bool {
		err = unix.Sendto(int(fd), frame(payload), 0, to)
		return true // a full queue is a lost packet
	})
	if werr != nil {
		return werr
	}
	return err
}

func (l *rawLink) Receive(buf []byte) ([]byte, error) {
	for {
		var n int
		var err error
		rerr := l.raw.Read(func(fd uintptr) bool {
			n, _, err = unix.Recvfrom(int(fd), buf, 0)
			return err != unix.EAGAIN
		})
		if rerr != nil {
			return nil, rerr
		}
		if err != nil {
			return nil, err
		}
		if payload, ok := unframe(buf[:n]); ok {
			return payload, nil
		}
	}
}

func (l *rawLink) SetReadDeadline(t time.Time) error { return l.f.SetReadDeadline(t) }
func (l *rawLink) Close() error                      { return l.f.Close() }
