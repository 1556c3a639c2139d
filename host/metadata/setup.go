package metadata

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"imprint/base/openstack"
	"imprint/host/config"
)

// Source is what a service made of settings answers from: an [Index] or a
// [Fixture].
type Source interface {
	Instances
	SetVendorData(openstack.VendorData)
}

// Setup is a service made of the settings in a nova.conf, with what runs
// beside it.
type Setup struct {
	Service *Service
	Metrics *Metrics

	listen, metricsListen string
	vendor                *Vendor
	file                  *VendorFile
	log                   *slog.Logger
}

// TrustOf is the mode that settings ask for.
func TrustOf(n config.Nova) Trust {
	switch {
	case n.Trust != "":
		return Trust(n.Trust)
	case n.ServiceProxy:
		return TrustSigned
	}
	return TrustAddress
}

// SiteOf is what settings say of all instances alike; the index of a service
// from [FromNova] is made with it.
func SiteOf(n config.Nova) Site {
	s := Site{
		Domain: n.DHCPDomain, FlatInjected: n.FlatInjected, CompleteNetwork: n.NetworkData == "complete",
		Addresses: TrustOf(n) != TrustSigned,
	}
	if !n.StaticVendor() {
		s.VendorData = openstack.NoVendorData()
	}
	return s
}

// FromNova makes a service of settings: the mode of trust, vendor data, TLS and
// listeners. from is the index or fixture that it answers from, passwords may
// be nil. It reads certificates, but opens no socket.
func FromNova(n config.Nova, from Source, passwords Passwords, log *slog.Logger) (*Setup, error) {
	s := &Setup{Metrics: NewMetrics(), listen: n.Listen, metricsListen: n.MetricsListen, log: orDiscard(log)}
	if x, ok := from.(*Index); ok {
		s.Metrics.Watch(x)
	}
	o := Options{
		Instances: from, Trust: TrustOf(n), Secret: string(n.SharedSecret), ForwardedFor: n.UseForwardedFor,
		Passwords: passwords, Metrics: s.Metrics, Log: log,
	}
	var err error
	if o.Vendor, err = vendorOf(n, s.Metrics, log); err != nil {
		return nil, fmt.Errorf("metadata service: %w", err)
	}
	s.vendor = o.Vendor
	if o.TLS, err = tlsOf(n); err != nil {
		return nil, fmt.Errorf("metadata service: %w", err)
	}
	switch {
	case !n.StaticVendor():
		from.SetVendorData(openstack.NoVendorData())
	case n.VendorFile != "":
		s.file = &VendorFile{Path: n.VendorFile, Set: from.SetVendorData, Log: log}
		s.file.look() // before the first request
	}
	s.Service, err = New(o)
	return s, err
}

func vendorOf(n config.Nova, m *Metrics, log *slog.Logger) (*Vendor, error) {
	if !n.DynamicVendor() {
		return nil, nil
	}
	o := VendorOptions{
		Domain: n.DHCPDomain, ConnectTimeout: n.ConnectTimeout, ReadTimeout: n.ReadTimeout,
		FailureFatal: n.FailureFatal, Lifetime: n.CacheExpiration, Metrics: m, Log: log,
	}
	for _, text := range n.VendorTargets {
		t, err := ParseTarget(text)
		if err != nil { // as Nova does, and the others are asked
			orDiscard(log).Warn("target of dynamic vendor data left out", "error", err)
			continue
		}
		o.Targets = append(o.Targets, t)
	}
	if n.VendorCA != "" {
		pool, err := readPool(n.VendorCA)
		if err != nil {
			return nil, err
		}
		o.RootCAs = pool
	}
	if a := n.VendorAuth; a.AuthURL != "" {
		o.Tokens = &Keystone{
			AuthURL: a.AuthURL, Username: a.Username, Password: string(a.Password), UserDomain: a.UserDomain,
			Project: a.Project, ProjectDomain: a.ProjectDomain, Client: &http.Client{Timeout: n.ConnectTimeout + n.ReadTimeout},
		}
	}
	return NewVendor(o), nil
}

// tlsOf asks clients for a certificate where an authority for them is named,
// as Nova does (nova: wsgi.py).
func tlsOf(n config.Nova) (*tls.Config, error) {
	if !n.TLS() {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(n.CertFile, n.KeyFile)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if n.CAFile != "" {
		if c.ClientCAs, err = readPool(n.CAFile); err != nil {
			return nil, err
		}
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return c, nil
}

func readPool(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: there is no certificate", path)
	}
	return pool, nil
}

// Run listens where the settings say and serves until ctx ends; it returns nil
// then.
func (s *Setup) Run(ctx context.Context) error {
	l, err := net.Listen("tcp", s.listen)
	if err != nil {
		return fmt.Errorf("metadata service: %w", err)
	}
	return s.Serve(ctx, l)
}

// Serve serves l, and the metrics where the settings say, until ctx ends; it
// returns nil then. It closes l.
func (s *Setup) Serve(ctx context.Context, l net.Listener) error {
	defer l.Close()
	if s.vendor != nil {
		defer s.vendor.Close()
	}
	g, ctx := errgroup.WithContext(ctx)
	if s.metricsListen != "" {
		m, err := net.Listen("tcp", s.metricsListen)
		if err != nil {
			return fmt.Errorf("metadata service: metrics: %w", err)
		}
		g.Go(func() error { return s.serveMetrics(ctx, m) })
	}
	if s.file != nil {
		g.Go(func() error { return s.file.Run(ctx) })
	}
	g.Go(func() error { return s.Service.Run(ctx, l) })
	s.log.Info("metadata service listens", "address", l.Addr().String(), "trust", string(s.Service.trust), "tls", s.Service.tls != nil)
	return g.Wait()
}

func (s *Setup) serveMetrics(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.Metrics.Handler())
	server := &http.Server{Handler: mux}
	limit(server)
	stop := context.AfterFunc(ctx, func() {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if server.Shutdown(drain) != nil {
			server.Close()
		}
	})
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("metadata service: metrics: %w", err)
	}
	return nil
}
