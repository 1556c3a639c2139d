package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

// Bounds of the listener for nodes.
const (
	maxNodeConns  = 4096
	maxFromOne    = 256 // connections from one address
	idleNode      = 15 * time.Second
	maxNodeHeader = 32 << 10
	requestLimit  = 10 * time.Minute // for a large blob over a slow line
)

// handedConns is a listener of connections that an HTTP server hands over.
type handedConns struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newHandedConns(addr net.Addr) *handedConns {
	return &handedConns{addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (h *handedConns) Addr() net.Addr { return h.addr }

func (h *handedConns) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

func (h *handedConns) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// hand gives a connection to whoever accepts, and returns when that one has
// closed it: then the HTTP server is done with it too.
func (h *handedConns) hand(c *tls.Conn) {
	lent := &lentConn{Conn: c, back: make(chan struct{})}
	select {
	case h.conns <- lent:
		<-lent.back
	case <-h.closed:
	}
}

// lentConn tells when it is closed.
type lentConn struct {
	*tls.Conn
	back chan struct{}
	once sync.Once
}

func (l *lentConn) Close() error {
	defer l.once.Do(func() { close(l.back) })
	return l.Conn.Close()
}

// serveTLS serves h to nodes and services on l until ctx ends, and hands
// connections that speak the feed's protocol to fed.
func serveTLS(ctx context.Context, l net.Listener, conf *tls.Config, h http.Handler, fed *handedConns, log *slog.Logger) error {
	server := &http.Server{
		Handler:           h,
		TLSConfig:         conf,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      requestLimit,
		IdleTimeout:       idleNode,
		MaxHeaderBytes:    maxNodeHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){
			feedProtocol: func(_ *http.Server, c *tls.Conn, _ http.Handler) {
				c.SetDeadline(time.Time{})
				fed.hand(c)
			},
		},
	}
	defer context.AfterFunc(ctx, func() {
		drained, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		if server.Shutdown(drained) != nil {
			server.Close()
		}
	})()
	err := server.ServeTLS(netutil.LimitListener(&fairListener{Listener: l, from: map[string]int{}}, maxNodeConns), "", "")
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve nodes on %s: %w", l.Addr(), err)
}

// fairListener closes at once what one address opens beyond maxFromOne, so
// that one peer does not take all places.
type fairListener struct {
	net.Listener
	mu   sync.Mutex
	from map[string]int // open connections by address
}

func (f *fairListener) Accept() (net.Conn, error) {
	for {
		c, err := f.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		if f.enter(host) {
			return &fairConn{Conn: c, leave: sync.OnceFunc(func() { f.leave(host) })}, nil
		}
		c.Close()
	}
}

func (f *fairListener) enter(host string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.from[host] >= maxFromOne {
		return false
	}
	f.from[host]++
	return true
}

func (f *fairListener) leave(host string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.from[host]--; f.from[host] == 0 {
		delete(f.from, host)
	}
}

// fairConn gives its place back when it is closed.
type fairConn struct {
	net.Conn
	leave func()
}

func (c *fairConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
