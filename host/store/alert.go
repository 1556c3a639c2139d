package store

import (
	"context"
	"errors"
	"net"
	"time"

	"google.golang.org/grpc/credentials"
)

// alertTimeout is how long an alert may still be on its way.
const alertTimeout = 100 * time.Millisecond

// alertCreds are a client's credentials whose connections say why they broke. With
// TLS 1.3 a server's refusal comes after the handshake, and the client may
// find its own bytes undeliverable before it has read that.
type alertCreds struct {
	credentials.TransportCredentials
}

func (a alertCreds) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := a.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		return nil, nil, err
	}
	return alertConn{conn}, info, nil
}

func (a alertCreds) Clone() credentials.TransportCredentials {
	return alertCreds{a.TransportCredentials.Clone()}
}

type alertConn struct{ net.Conn }

// Write returns the alert of the other side, if it has sent one, as its error.
func (c alertConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err == nil {
		return n, nil
	}
	c.SetReadDeadline(time.Now().Add(alertTimeout))
	var alert *net.OpError
	if _, said := c.Read(make([]byte, 1)); errors.As(said, &alert) && alert.Op == "remote error" {
		err = said
	}
	return n, err
}
