package dns

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"
)

// Of looking a name up elsewhere.
const (
	upstreamTimeout = 2 * time.Second // of each server
	maxForwards     = 64              // under way at once, for one network
)

var errNoAnswer = errors.New("no upstream server answered")

// forward asks the upstream servers in turn, from an own port and with an own
// id each time (RFC 5452), and returns the first answer under the query's id.
func (z *Zone) forward(ctx context.Context, network string, packet []byte) ([]byte, error) {
	for _, s := range z.upstream {
		if b, err := z.ask(ctx, network, s, packet); err == nil {
			copy(b, packet[:2])
			return b, nil
		}
	}
	return nil, errNoAnswer
}

func (z *Zone) ask(ctx context.Context, network string, server netip.AddrPort, packet []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, z.timeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	sent := append([]byte(nil), packet...)
	rand.Read(sent[:2])
	if network == "tcp" {
		return askTCP(conn, sent)
	}
	if _, err := conn.Write(sent); err != nil {
		return nil, err
	}
	buf := make([]byte, 65535)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		if answers(sent, buf[:n], binary.BigEndian.Uint16(sent)) {
			return buf[:n], nil
		}
	}
}

func askTCP(conn net.Conn, sent []byte) ([]byte, error) {
	if err := writeTCP(conn, sent); err != nil {
		return nil, err
	}
	b, err := readTCP(conn)
	if err == nil && !answers(sent, b, binary.BigEndian.Uint16(sent)) {
		err = errNoAnswer
	}
	return b, err
}

// readTCP reads one message with its length before it. RFC 1035 4.2.2
func readTCP(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

func writeTCP(w io.Writer, b []byte) error {
	if len(b) > 65535 {
		return errors.New("message too long")
	}
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	return err
}
