package nsproxy

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

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

	mu        sync.Mutex
	conns     map[*conn]struct{}
	perClient map[netip.Addr]int // connections
	underWay  map[netip.Addr]int // requests
	requests  int                // of all clients
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
		conns: map[*conn]struct{}{}, perClient: map[netip.Addr]int{}, underWay: map[netip.Addr]int{},
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
	client := peer(c)
	w.mu.Lock()
	defer w.mu.Unlock()
	if !client.IsValid() || len(w.conns) >= l.PerListener || w.perClient[client] >= l.PerClient {
		return nil, false
	}
	admitted := &conn{Conn: c, way: w, client: client}
	w.conns[admitted] = struct{}{}
	w.perClient[client]++
	return admitted, true
}

func (w *way) leave(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, c)
	if w.perClient[c.client]--; w.perClient[c.client] == 0 {
		delete(w.perClient, c.client)
	}
}

// begin counts a request of a client in, unless there are too many already;
// end counts it out.
func (w *way) begin(client netip.Addr, l Limits) *refusal {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.underWay[client] >= l.ClientRequests {
		return unavailable("Too many requests of this instance are under way.")
	}
	if w.requests >= l.PerWay {
		return unavailable("Too many requests of this network are under way.")
	}
	w.requests++
	w.underWay[client]++
	return nil
}

func (w *way) end(client netip.Addr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests--
	if w.underWay[client]--; w.underWay[client] == 0 {
		delete(w.underWay, client)
	}
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
