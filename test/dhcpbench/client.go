package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"
)

// inFlight is how many clients wait for an answer at a time.
const inFlight = 64

// resend is when a packet counts as lost.
const resend = time.Second

// client plays all hosts over one socket: it asks for broadcast answers.
type client struct{ conn *net.UDPConn }

var serverAddr = netip.MustParseAddrPort("255.255.255.255:67")

func newClient(w wire) (*client, error) {
	set := func(fd int) error {
		return errors.Join(unix.BindToDevice(fd, "eth0"), unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20))
	}
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if e := raw.Control(func(fd uintptr) { err = set(int(fd)) }); e != nil {
			return e
		}
		return err
	}}
	var conn net.PacketConn
	err := w.client.Do(func() (err error) { conn, err = lc.ListenPacket(context.Background(), "udp4", ":68"); return err })
	if err != nil {
		return nil, err
	}
	return &client{conn.(*net.UDPConn)}, nil
}

func mac(i int) net.HardwareAddr {
	return net.HardwareAddr{0xfa, 0x16, 0x3e, byte(i >> 16), byte(i >> 8), byte(i)}
}

func addr(i int) netip.Addr {
	n := uint32(10<<24|10<<16) + 256 + uint32(i)
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n)))
}

// discover and request are a host's packets; their transaction is the host's
// number.
func discover(i int) ([]byte, error) { return message(i, dhcpv4.MessageTypeDiscover) }

func request(i int) ([]byte, error) {
	return message(i, dhcpv4.MessageTypeRequest, dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(10, 10, 0, 2))),
		dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(addr(i).AsSlice())))
}

func message(i int, kind dhcpv4.MessageType, more ...dhcpv4.Modifier) ([]byte, error) {
	m, err := dhcpv4.New(append([]dhcpv4.Modifier{
		dhcpv4.WithHwAddr(mac(i)), dhcpv4.WithMessageType(kind), dhcpv4.WithBroadcast(true),
		dhcpv4.WithRequestedOptions(dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter, dhcpv4.OptionDomainNameServer, dhcpv4.OptionHostName,
			dhcpv4.OptionDomainName, dhcpv4.OptionInterfaceMTU, dhcpv4.OptionBroadcastAddress, dhcpv4.OptionClasslessStaticRoute),
	}, more...)...)
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint32(m.TransactionID[:], uint32(i))
	return m.ToBytes(), nil
}

// result is what a run over all hosts took.
type result struct {
	rate float64 // answers a second
	p99  time.Duration
}

// all sends every host's packet and waits for every answer, but for no longer
// than most.
func (c *client) all(packet func(int) ([]byte, error), most time.Duration) (result, error) {
	packets := make([][]byte, hosts)
	for i := range packets {
		var err error
		if packets[i], err = packet(i); err != nil {
			return result{}, err
		}
	}
	sent, took := make([]time.Time, hosts), make([]time.Duration, 0, hosts)
	waiting, next := map[int]bool{}, 0
	began := time.Now()
	send := func(i int) error {
		waiting[i] = true
		sent[i] = time.Now()
		_, err := c.conn.WriteToUDPAddrPort(packets[i], serverAddr)
		return err
	}
	for (next < hosts || len(waiting) > 0) && time.Since(began) < most {
		for next < hosts && len(waiting) < inFlight {
			if err := send(next); err != nil {
				return result{}, err
			}
			next++
		}
		i, err := c.answer(waiting)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			for i := range waiting {
				if err := send(i); err != nil {
					return result{}, err
				}
			}
			continue
		}
		if err != nil {
			return result{}, err
		}
		took = append(took, time.Since(sent[i]))
		delete(waiting, i)
	}
	if len(took) == 0 {
		return result{}, errors.New("the server does not answer")
	}
	rate := float64(len(took)) / time.Since(began).Seconds()
	slices.Sort(took)
	return result{rate, took[len(took)*99/100]}, nil
}

// answer waits for the next answer that somebody waits for, and checks whose
// address it gives.
func (c *client) answer(waiting map[int]bool) (int, error) {
	c.conn.SetReadDeadline(time.Now().Add(resend))
	var buf [1500]byte
	for {
		n, _, err := c.conn.ReadFromUDPAddrPort(buf[:])
		if err != nil {
			return 0, err
		}
		if n < 240 || buf[0] != 2 {
			continue
		}
		i := int(binary.BigEndian.Uint32(buf[4:]))
		if !waiting[i] {
			continue
		}
		if got := netip.AddrFrom4([4]byte(buf[16:20])); got != addr(i) {
			return 0, fmt.Errorf("host %d got %s, not %s", i, got, addr(i))
		}
		return i, nil
	}
}

// ready asks as the first host until the server is there.
func (c *client) ready() error {
	packet, err := discover(0)
	if err != nil {
		return err
	}
	for began := time.Now(); time.Since(began) < 30*time.Second; {
		if _, err := c.conn.WriteToUDPAddrPort(packet, serverAddr); err != nil {
			return err
		}
		if _, err := c.answer(map[int]bool{0: true}); err == nil {
			return nil
		}
	}
	return errors.New("the server does not answer")
}
