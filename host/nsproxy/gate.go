package nsproxy

import (
	"net"
	"net/netip"
	"sync"
)

// conn is an instance's connection.
type conn struct {
	net.Conn
	way    *way
	addr   netip.Addr // of the client
	client *client
	once   sync.Once
	ended  func() // gives its place back
}

func (c *conn) Close() error {
	c.once.Do(func() {
		c.way.leave(c)
		c.ended()
	})
	return c.Conn.Close()
}

// CloseWrite lets net/http close so that the client can read its answer first.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// gate is a listener of a way that lets only so many connections in.
type gate struct {
	*net.TCPListener
	way   *way
	proxy *Proxy
}

// Accept closes connections that are too many.
func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.TCPListener.Accept()
		if err != nil {
			return nil, err
		}
		if admitted, ok := g.admit(c); ok {
			return admitted, nil
		}
		c.Close()
		if g.way.lines.Allow() {
			g.proxy.log.Warn("connection refused: too many", "netns", g.way.key, "client", c.RemoteAddr())
		}
	}
}

func (g *gate) admit(c net.Conn) (*conn, bool) {
	p := g.proxy
	select {
	case p.total <- struct{}{}:
	default:
		return nil, false
	}
	admitted, ok := g.way.admit(c, p.limits)
	if !ok {
		<-p.total
		return nil, false
	}
	p.open.Add(1)
	admitted.ended = func() { <-p.total; p.open.Done() }
	return admitted, true
}
