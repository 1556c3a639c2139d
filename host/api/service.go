package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"imprint/host/cloud"
)

// Authenticator turns a token into who is calling. A token that is unknown,
// expired or revoked is an error of kind [cloud.Unauthorized]. Safe for
// concurrent use.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (cloud.Caller, error)
}

// Access says whom a route admits.
type Access uint8

// The kinds of access.
const (
	Scoped Access = iota // a token with a project; the zero value
	Token                // any valid token
	Anyone               // no token needed
)

// Handler answers one request. It runs on the request's goroutine.
type Handler func(*Request) (Response, error)

// Route binds a pattern of [http.ServeMux], such as "GET /v2.1/servers/{id}",
// to its handler.
type Route struct {
	Pattern string
	Do      Handler
	Access  Access
	// Stream routes read or write bodies of any size: they have no time limit
	// as long as bytes move, and limit the body themselves.
	Stream bool
}

// Options say what a service is.
type Options struct {
	// Name is the service's catalog type, such as "compute".
	Name    string
	Dialect Dialect
	// Auth is asked for every route that needs a token.
	Auth Authenticator
	// Microversions is nil for a service that has none.
	Microversions *Microversions
	// AuthURL tells rejected clients where to get a token.
	AuthURL string
	// Log gets one line per request; nil discards.
	Log *slog.Logger
}

// Limits of every request.
const (
	MaxBody        = 4 << 20 // bytes of a decoded body
	MaxHeader      = 64 << 10
	requestTimeout = time.Minute
	streamStall    = time.Minute
)

// Service is one role's HTTP face. It is safe for concurrent use.
type Service struct {
	options Options
	log     *slog.Logger
	mux     *http.ServeMux
	routes  map[string]*Route
}

// New makes a service of routes. A malformed or doubled pattern panics: the
// list is part of the program.
func New(o Options, routes []Route) *Service {
	s := &Service{options: o, log: o.Log, mux: http.NewServeMux(), routes: map[string]*Route{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for _, r := range routes {
		s.routes[r.Pattern] = &r
		s.mux.HandleFunc(r.Pattern, func(http.ResponseWriter, *http.Request) {})
	}
	return s
}

// route finds the route of req and fills in the path's values. What the mux
// would answer itself is an error: it is not in the service's dialect.
func (s *Service) route(req *http.Request) (*Route, error) {
	own := &probe{header: http.Header{}}
	s.mux.ServeHTTP(own, req)
	if r := s.routes[req.Pattern]; r != nil && own.status == 0 {
		return r, nil
	}
	if own.status == http.StatusMethodNotAllowed {
		return nil, &StatusError{Status: own.status, Text: "The method is not allowed for this resource.",
			Header: http.Header{"Allow": own.header["Allow"]}}
	}
	return nil, cloud.Errorf(cloud.NotFound, "The resource could not be found.")
}

// probe learns the status that the mux answers itself; routes write nothing.
type probe struct {
	header http.Header
	status int
}

func (p *probe) Header() http.Header         { return p.header }
func (p *probe) Write(b []byte) (int, error) { return len(b), nil }
func (p *probe) WriteHeader(status int)      { p.status = status }
