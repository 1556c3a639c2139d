package metadataagent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"

	"imprint/base/daemon"
	"imprint/host/cloud"
)

// Config sets an agent up.
type Config struct {
	// Services are the metadata service's replicas, "host:port" each, one at
	// least. They are asked in turn. Where one cannot be reached, or does not
	// answer a request that may be asked twice, the next one is; it is asked
	// last for some seconds.
	Services []string
	// Secret is metadata_proxy_shared_secret.
	Secret string
	// TLS, unless nil, speaks HTTPS to the services. Each is known by the name
	// in its address.
	TLS *tls.Config
	// ProxyUID is the user whose processes are heard on the socket, and PeerUIDs
	// are further ones. AnyPeer hears everyone whom the socket's mode lets
	// connect.
	ProxyUID uint32
	PeerUIDs []uint32
	AnyPeer  bool
	// Ports is where ports are looked up; nil: in the slices that
	// [Agent.Update] brings.
	Ports Ports
	// NeutronForm sends and answers exactly as Neutron's agent does.
	NeutronForm bool
	// Limits; those that are zero are the default ones.
	Limits Limits
}

const (
	maxConnections = 1024
	maxHeader      = 32 << 10
	grace          = 5 * time.Second
)

// Agent is a metadata agent. It is safe for concurrent use.
type Agent struct {
	config Config
	log    *slog.Logger
	gate   *gate
	lines  *daemon.Buckets          // of the log
	known  atomic.Pointer[topology] // nil until the first Update

	services   *replicas
	transport  *http.Transport
	redirected *http.Client // follows redirects
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
	t := newTransport(c)
	return &Agent{
		config: c, log: log, gate: newGate(c.Limits), lines: daemon.NewBuckets(logRate, logBurst),
		services: &replicas{addresses: c.Services}, transport: t, redirected: newRedirected(t),
	}, nil
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
	a.gate.senders.Forget(func(key string) bool {
		place, _, _ := strings.Cut(key, " ")
		return wanted(place)
	})
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
	if !a.config.AnyPeer {
		l = daemon.AdmitUIDs(l, a.log, append(slices.Clone(a.config.PeerUIDs), a.config.ProxyUID)...)
	}
	l = netutil.LimitListener(l, maxConnections)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	defer a.transport.CloseIdleConnections()
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
