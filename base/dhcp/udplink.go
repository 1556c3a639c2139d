package dhcp

import (
	"net"
	"net/netip"
	"time"
)

// udpLink renews by unicast: an ordinary socket on the interface's address.
type udpLink struct {
	conn *net.UDPConn
	to   netip.AddrPort
}

func openUDP(ifname string, server netip.Addr) (link, error) {
	conn, err := listen(ifname, clientPort, nil)
	if err != nil {
		return nil, err
	}
	return &udpLink{conn, netip.AddrPortFrom(server, serverPort)}, nil
}

func (l *udpLink) Send(payload []byte) error {
	_, err := l.conn.WriteToUDPAddrPort(payload, l.to)
	return err
}

func (l *udpLink) Receive(buf []byte) ([]byte, error) {
	n, _, err := l.conn.ReadFromUDPAddrPort(buf)
	return buf[:n], err
}

func (l *udpLink) SetReadDeadline(t time.Time) error { return l.conn.SetReadDeadline(t) }
func (l *udpLink) Close() error                      { return l.conn.Close() }
