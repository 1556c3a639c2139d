package metadataagent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"

	"imprint/base/daemon"
	"imprint/host/cloud"
)

// Config sets an agent up.
type Config struct {
	// Services are the metadata service's replicas, "host:port" each, one at
	// least. Connections go to them in turn; one that cannot be reached is
	// passed over.
	Services []string
	// Secret is metadata_proxy_shared_secret.
	Secret string
	// ProxyUID is the user whose processes are heard on the socket.
	ProxyUID uint32
	// Limits; those that are zero are the default ones.
	Limits Limits
}

const (
	maxConnections = 1024
	maxHeader      = 32 << 10
	maxPathInLog   = 256
	maxMethodInLog = 32
	grace          = 5 * time.Second
)

// Agent is a metadata agent. It is safe for concurrent use.
type Agent struct {
	config Config
	log    *slog.Logger
	gate   *gate
	lines  *daemon.Buckets // of the log
	client *http.Transport
	known  atomic.Pointer[topology] // nil until the first Update
}

// New returns an agent that knows no ports until [Agent.Update]. A nil log
// discards.
func New(c Config, log *slog.Logger) (*Agent, error) {
	if len(c.Services) == 0 {
		return nil, errors.New("metadata agent: no metadata service")
	}
	for _, service := range c.Services {
		if _, _, err := net.SplitHostPort(service); err != nil {
			return nil, fmt.Errorf("metadata agent: metadata service: %w", err)
		}
	}
	if c.Secret == "" {
		return nil, errors.New("metadata agent: no shared secret")
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c.Limits = c.Limits.orDefault()
	return &Agent{config: c, log: log, gate: newGate(c.Limits), lines: daemon.NewBuckets(logRate, logBurst), client: newTransport(c.Services)}, nil
}

func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	if l.InFlight == 0 {
		l.InFlight = d.InFlight
	}
	if l.PerInstance == 0 {
		l.PerInstance = d.PerInstance
	}
	if l.Rate == 0 {
		l.Rate = d.Rate
	}
	if l.Burst == 0 {
		l.Burst = d.Burst
	}
	return l
}

// Update makes s what the agent knows. Requests that are under way are not
// disturbed.
func (a *Agent) Update(s cloud.Slice) {
	t := newTopology(s)
	a.known.Store(t)
	wanted := func(key string) bool {
		_, port := s.Ports[cloud.PortID(key)]
		_, network := s.Networks[cloud.NetworkID(key)]
		_, router := s.Routers[cloud.RouterID(key)]
		return port || network || router
	}
	a.gate.buckets.Forget(wanted)
	a.lines.Forget(wanted)
}

// Run serves the proxy on the unix listener l until ctx ends, drains for some
// seconds, and returns nil. It closes l.
func (a *Agent) Run(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:                      a,
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            10 * time.Second,
		ReadTimeout:                  20 * time.Second,
		WriteTimeout:                 time.Minute,
		IdleTimeout:                  2 * time.Minute,
		MaxHeaderBytes:               maxHeader,
		ErrorLog:                     slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	l = netutil.LimitListener(daemon.AdmitUIDs(l, a.log, a.config.ProxyUID), maxConnections)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	defer a.client.CloseIdleConnections()
	select {
	case err := <-failed:
		return fmt.Errorf("metadata agent: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		a.log.Warn("metadata agent's requests cut off", "error", err)
		server.Close()
	}
	<-failed
	return nil
}

// exchange is one request on its way, and what the log tells of it.
type exchange struct {
	w       http.ResponseWriter
	r       *http.Request
	parent  string // Traceparent
	traceID string
	query   query
	port    cloud.DesiredPort // of the instance, once found
	status  int
	bytes   int64
	err     error // what went wrong beyond the status
}

// ServeHTTP answers one request of the proxy.
func (a *Agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: w, r: r}
	x.parent, x.traceID = traceParent(r.Header.Get(cloud.HeaderTraceParent))
	if f := a.serve(x); f != nil {
		x.status, x.bytes = f.status, f.write(w)
	}
	a.logExchange(x)
	if errors.Is(x.err, errCutShort) {
		panic(http.ErrAbortHandler) // so that the proxy sees that something is missing
	}
}

// serve returns a refusal, or nil when the service's answer was passed on.
func (a *Agent) serve(x *exchange) *refusal {
	known := a.known.Load()
	if known == nil {
		return unavailable("The metadata agent does not know its ports yet.")
	}
	if x.r.Method == http.MethodConnect || x.r.URL.Path == "" || x.r.URL.Path[0] != '/' {
		return badRequest("The request is not for a path.")
	}
	q, malformed := parseQuery(x.r.Header)
	if malformed != nil {
		return malformed
	}
	x.query = q
	port, err := known.find(q)
	if err != nil {
		return a.miss(known, q)
	}
	x.port = port
	if !a.gate.buckets.Spend(string(port.ID)) {
		return tooMany("Too many requests.")
	}
	leave, full := a.gate.enter(cloud.ServerID(port.DeviceID))
	if full != nil {
		return full
	}
	defer leave()
	return a.forward(x)
}

// miss counts misses too, by where they come from.
func (a *Agent) miss(known *topology, q query) *refusal {
	key := ""
	if known.knows(q) {
		key = string(q.router) + string(q.network)
	}
	if !a.gate.buckets.Spend(key) {
		return tooMany("Too many requests.")
	}
	return notFound()
}

// logExchange writes a line, unless the port's share of the log is used up.
func (a *Agent) logExchange(x *exchange) {
	if !a.lines.Spend(string(x.port.ID)) {
		return
	}
	attrs := []slog.Attr{
		slog.String("trace_id", x.traceID), slog.String("server_id", x.port.DeviceID), slog.String("port_id", string(x.port.ID)),
		slog.String("router_id", string(x.query.router)), slog.String("network_id", string(x.query.network)),
		slog.Any("client", x.query.addr), slog.String("method", x.r.Method[:min(len(x.r.Method), maxMethodInLog)]),
		slog.String("path", x.r.URL.Path[:min(len(x.r.URL.Path), maxPathInLog)]),
		slog.Int("status", x.status), slog.Int64("bytes", x.bytes),
	}
	if x.err != nil {
		attrs = append(attrs, slog.String("error", x.err.Error()))
	}
	a.log.LogAttrs(x.r.Context(), slog.LevelInfo, "metadata request forwarded", attrs...)
}
