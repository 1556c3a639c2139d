package metadata

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"imprint/base/openstack"
)

const retryAfter = 2 // seconds

// Options say what a service works with.
type Options struct {
	Instances Instances
	// Trust is how the service learns who asks; "" is [TrustSigned].
	Trust Trust
	// Secret is metadata_proxy_shared_secret. It is needed in all modes but
	// [TrustAddress].
	Secret string
	// ForwardedFor believes X-Forwarded-For in the mode [TrustAddress]: only
	// for a service that nobody but a proxy can reach.
	ForwardedFor bool
	// Passwords is nil where passwords cannot be kept; setting one is then
	// answered 503.
	Passwords Passwords
	// Vendor asks the dynamic targets of vendor data; nil for none.
	Vendor *Vendor
	// Metrics counts; nil for nothing.
	Metrics *Metrics
	// TLS is nil for plain HTTP.
	TLS *tls.Config
	// Log gets a line for each request, written by [Service.Run]; nil discards.
	// What one instance causes in it is bounded.
	Log *slog.Logger
}

// Service answers the requests of instances. It is safe for concurrent use.
type Service struct {
	instances    Instances
	cache        *cache
	trust        Trust
	signatures   *signatures // never logged
	forwardedFor bool
	passwords    Passwords
	vendor       *Vendor
	metrics      *Metrics
	tls          *tls.Config
	log          *slog.Logger
	access       *accessLog
	random       io.Reader
	now          func() time.Time
	root, health *page
}

// New returns a service. A secret that is missing and an unknown mode are
// errors.
func New(o Options) (*Service, error) {
	if o.Trust == "" {
		o.Trust = TrustSigned
	}
	switch o.Trust {
	case TrustAddress:
	case TrustSigned, TrustProvider:
		if o.Secret == "" {
			return nil, errors.New("metadata service: no shared secret")
		}
	default:
		return nil, fmt.Errorf("metadata service: %q is not a mode of trust", o.Trust)
	}
	s := &Service{
		instances: o.Instances, cache: cacheOf(o.Instances), trust: o.Trust, signatures: newSignatures(o.Secret),
		forwardedFor: o.ForwardedFor, passwords: o.Passwords, vendor: o.Vendor, metrics: o.Metrics, tls: o.TLS,
		log: orDiscard(o.Log), random: rand.Reader, now: time.Now,
		root:   newPage(openstack.Root()),
		health: newPage(openstack.Document{Type: openstack.TypeText, Body: []byte("OK")}),
	}
	if s.metrics == nil {
		s.metrics = NewMetrics()
	}
	s.access = newAccessLog(s.log, s.metrics.unlogged.Inc)
	return s, nil
}

// NewService returns the service in its mode [TrustSigned]: secret is
// metadata_proxy_shared_secret, without which nobody could be believed. A nil
// log discards.
func NewService(instances Instances, secret string, log *slog.Logger) (*Service, error) {
	return New(Options{Instances: instances, Secret: secret, Log: log})
}

// cacheOf is the cache that bounds the instances' documents.
func cacheOf(i Instances) *cache {
	if c, ok := i.(interface{ documents() *cache }); ok {
		return c.documents()
	}
	return newCache(defaultCache)
}

// ServeHTTP answers r. Every method counts as GET, but for the password.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin, path := s.now(), openstack.Clean(r.URL.Path)
	a, f := s.answer(r, path, begin)
	if f != nil {
		a.page, a.fault = nil, f
	}
	status, n := a.write(w, r)
	end := s.now()
	took := end.Sub(begin)
	s.metrics.request(path, status, took)
	if f != nil {
		s.metrics.refusals.WithLabelValues(f.reason).Inc()
	}
	s.access.add(line{a.id, one(r.Header, headerTraceParent), r.Method, r.URL.Path, status, n, took}, a.share, end)
}

// answer answers for a path in its clean form. It says also which server asked,
// "" when that is not proven. nova: api/metadata/handler.py.
func (s *Service) answer(r *http.Request, path string, now time.Time) (answer, *fault) {
	switch {
	case path == "/":
		return answer{page: s.root}, nil
	case r.URL.Path == "/healthcheck":
		return answer{page: s.health}, nil
	}
	who, f := s.identify(r)
	if f != nil {
		return who.answer(), f
	}
	p, err := who.told.page(openstack.Request{Path: path, Peer: who.peer, Now: now}, s.cache)
	a := who.answer()
	if err != nil {
		return a, notFound("no document")
	}
	a.page = p
	switch {
	case p.Seed > 0:
		if a.seed, err = newSeed(s.random); err != nil {
			s.log.Error("no random bytes", "server_id", who.id, "error", err)
			return a, unavailable("random", "There are no random bytes.")
		}
	case p.Password && r.Method != http.MethodGet:
		return s.posted(a, r, who)
	case p.Vendor && s.vendor != nil:
		return s.vendorPage(a, r.Context(), who)
	}
	return a, nil
}

// posted answers what is no GET of the password: with nothing, as Nova does.
func (s *Service) posted(a answer, r *http.Request, who asker) (answer, *fault) {
	if f := s.setPassword(r, who.id, who.told.instance.Password); f != nil {
		return a, f
	}
	a.page = newPage(openstack.Document{Type: openstack.TypeHTML})
	return a, nil
}

// vendorPage puts the answers of the dynamic targets beside the static data.
func (s *Service) vendorPage(a answer, ctx context.Context, who asker) (answer, *fault) {
	answers, err := s.vendor.Answers(ctx, who.told.instance)
	if err != nil {
		return a, unavailable("vendor data", "The vendor data is not available now.")
	}
	body := who.told.instance.VendorData.Encode2(answers...)
	a.page = newPage(openstack.Document{Type: openstack.TypeJSON, Body: body})
	return a, nil
}
