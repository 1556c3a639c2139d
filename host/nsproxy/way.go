package nsproxy

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"imprint/host/cloud"
)

// way is one way in: a router's namespace or a network's, with all that is
// counted for it.
type way struct {
	key    string // router/<id> or network/<id>
	header string // the header that names it to the agent
	id     string

	lines      *rate.Limiter // of the log
	suppressed atomic.Int64  // lines since the last one

	mu       sync.Mutex
	conns    map[*conn]struct{}
	clients  map[netip.Addr]*client
	requests int // of all clients
}

// client is an address that has connections.
type client struct {
	conns int
	slots chan struct{} // a place per request
}

func newWay(key string, l Limits) (*way, error) {
	kind, id, _ := strings.Cut(key, "/")
	header := map[string]string{"router": cloud.HeaderRouterID, "network": cloud.HeaderNetworkID}[kind]
	if header == "" || !cloud.IsUUID(id) {
		return nil, fmt.Errorf("key %q is neither router/<id> nor network/<id>", key)
	}
	return &way{
		key: key, header: header, id: id,
		lines: rate.NewLimiter(rate.Limit(l.LogRate), l.LogBurst),
		conns: map[*conn]struct{}{}, clients: map[netip.Addr]*client{},
	}, nil
}

// closeAll closes the way's connections, those with a request under way too.
func (w *way) closeAll() {
	w.mu.Lock()
	open := make([]*conn, 0, len(w.conns))
	for c := range w.conns {
		open = append(open, c)
	}
	w.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
}

// admit counts a connection in, unless the way or its client has too many.
func (w *way) admit(c net.Conn, l Limits) (*conn, bool) {
	addr := peer(c)
	w.mu.Lock()
	defer w.mu.Unlock()
	if !addr.IsValid() || len(w.conns) >= l.PerListener {
		return nil, false
	}
	who := w.clients[addr]
	if who == nil {
		who = &client{slots: make(chan struct{}, l.ClientRequests)}
		w.clients[addr] = who
	}
	if who.conns >= l.PerClient {
		return nil, false
	}
	who.conns++
	admitted := &conn{Conn: c, way: w, addr: addr, client: who}
	w.conns[admitted] = struct{}{}
	return admitted, true
}

func (w *way) leave(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, c)
	if c.client.conns--; c.client.conns == 0 {
		delete(w.clients, c.addr)
	}
}

// begin counts a request in; end counts it out. One of a client that has too
// many already waits for those, and takes nobody else's place meanwhile; one of
// a way that has too many is refused.
func (w *way) begin(ctx context.Context, who *client, l Limits) *refusal {
	select {
	case who.slots <- struct{}{}:
	default:
		if !who.wait(ctx, l.WaitTime) {
			return unavailable("Too many requests of this instance are under way.")
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.requests >= l.PerWay {
		<-who.slots
		return unavailable("Too many requests of this network are under way.")
	}
	w.requests++
	return nil
}

// wait waits for a place.
func (c *client) wait(ctx context.Context, atMost time.Duration) bool {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case c.slots <- struct{}{}:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

func (w *way) end(who *client) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests--
	<-who.slots
}

// peer returns who is at the other end: an IPv4 address not mapped, a
// link-local one without its zone.
func peer(c net.Conn) netip.Addr {
	a, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return a.AddrPort().Addr().Unmap().WithZone("")
}
