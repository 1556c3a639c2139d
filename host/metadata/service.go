package metadata

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"imprint/base/daemon"
	"imprint/base/openstack"
	"imprint/host/api"
	"imprint/host/cloud"
)

// Instances finds what a server is told. A miss is [cloud.ErrNotFound], an
// error of kind [cloud.Unavailable] is worth a retry. Safe for concurrent use.
type Instances interface {
	Instance(cloud.ServerID) (*openstack.Instance, error)
}

const (
	grace       = 5 * time.Second
	readTimeout = 10 * time.Second
	retryAfter  = 2 // seconds
	maxLogPath  = 256
	maxLogVerb  = 32
	// What one server may cause in the log: a burst of lines, and then so
	// many a second.
	logRate  = 2
	logBurst = 200
)

// Service answers the requests of metadata agents. It is safe for concurrent
// use.
type Service struct {
	instances Instances
	secret    string // never logged
	random    io.Reader
	log       *slog.Logger
	lines     *daemon.Buckets
}

// NewService returns the service in its mode service_metadata_proxy: secret is
// metadata_proxy_shared_secret, without which nobody could be believed. A nil
// log discards.
func NewService(instances Instances, secret string, log *slog.Logger) (*Service, error) {
	if secret == "" {
		return nil, errors.New("metadata service: no shared secret")
	}
	return &Service{instances: instances, secret: secret, random: rand.Reader, log: orDiscard(log), lines: daemon.NewBuckets(logRate, logBurst)}, nil
}

// Run serves l until ctx ends, drains for some seconds, and returns nil.
func (s *Service) Run(ctx context.Context, l net.Listener) error {
	return api.Run(ctx, l, s, grace, s.log)
}

// ServeHTTP answers r. Every method counts as GET, but for the password.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTimeout)) // a recorder has none
	id, a := s.answer(r)
	n := a.write(w, r.Method)
	if !s.lines.Spend(string(id)) {
		return
	}
	s.log.LogAttrs(r.Context(), slog.LevelInfo, "metadata request",
		slog.String("trace_id", cloud.TraceID(r.Header.Get(cloud.HeaderTraceParent))),
		slog.String("server_id", string(id)), slog.String("method", r.Method[:min(len(r.Method), maxLogVerb)]),
		slog.String("path", r.URL.Path[:min(len(r.URL.Path), maxLogPath)]),
		slog.Int("status", a.status), slog.Int("bytes", n))
}

// answer returns also which server asked, "" when that is not proven.
// nova: api/metadata/handler.py.
func (s *Service) answer(r *http.Request) (cloud.ServerID, answer) {
	accept := r.Header.Get("Accept")
	switch {
	case openstack.IsRoot(r.URL.Path):
		return "", document(openstack.Root())
	case r.URL.Path == "/healthcheck":
		return "", document(openstack.Document{Type: openstack.TypeText, Body: []byte("OK")})
	}
	id, f := s.verify(r.Header)
	if f != nil {
		return "", f.answer(r.Method, accept)
	}
	d, f := s.lookup(id, r)
	if f != nil {
		return id, f.answer(r.Method, accept)
	}
	return id, document(d)
}

func (s *Service) lookup(id cloud.ServerID, r *http.Request) (openstack.Document, *fault) {
	i, err := s.instances.Instance(id)
	if cloud.KindOf(err) == cloud.Unavailable {
		return openstack.Document{}, unavailable(err.Error())
	}
	if err != nil || i.ProjectID != one(r.Header, cloud.HeaderTenantID) {
		return openstack.Document{}, notFound()
	}
	peer, _ := netip.ParseAddr(one(r.Header, cloud.HeaderForwardedFor)) // junk is no address
	d, err := i.Lookup(openstack.Request{Path: r.URL.Path, Peer: peer.Unmap(), Random: s.random})
	switch {
	case errors.Is(err, openstack.ErrNoDocument):
		return openstack.Document{}, notFound()
	case err != nil:
		s.log.Error("no random bytes", "server_id", id, "error", err)
		return openstack.Document{}, unavailable("There are no random bytes.")
	case d.Password:
		return d, password(r)
	}
	return d, nil
}

// answer is a whole response.
type answer struct {
	status int
	kind   string // Content-Type
	body   []byte
	retry  bool
}

func document(d openstack.Document) answer {
	return answer{status: http.StatusOK, kind: d.Type, body: d.Body}
}

// write returns the number of bytes of the body that were written.
func (a answer) write(w http.ResponseWriter, method string) int {
	w.Header().Set("Content-Type", a.kind)
	if a.retry {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	if method != http.MethodHead {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	if method == http.MethodHead {
		return 0
	}
	n, _ := w.Write(a.body) // a client that left is no concern of ours
	return n
}
