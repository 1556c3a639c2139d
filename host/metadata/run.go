package metadata

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

// Limits of the listener. A request and its body must have arrived, and its
// answer gone, within these times; more connections than that wait.
const (
	grace          = 5 * time.Second
	headerTimeout  = 10 * time.Second
	requestTimeout = 15 * time.Second
	answerTimeout  = 60 * time.Second // beyond that of dynamic vendor data
	idleTimeout    = 60 * time.Second
	maxHeader      = 16 << 10
	maxConnections = 1 << 15
)

func limit(s *http.Server) {
	s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout, s.IdleTimeout = headerTimeout, requestTimeout, answerTimeout, idleTimeout
	s.MaxHeaderBytes = maxHeader
}

// server has no listener yet.
func (s *Service) server() *http.Server {
	server := &http.Server{Handler: s, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	limit(server)
	if s.vendor != nil {
		server.WriteTimeout += s.vendor.budget()
	}
	return server
}

// Run serves l until ctx ends, drains for some seconds, and returns nil. It
// closes l.
func (s *Service) Run(ctx context.Context, l net.Listener) error {
	server := s.server()
	address := l.Addr()
	l = netutil.LimitListener(l, maxConnections)
	if s.tls != nil {
		l = tls.NewListener(l, s.tls)
	}
	logging, stopLog := context.WithCancel(context.WithoutCancel(ctx))
	var logged sync.WaitGroup
	logged.Go(func() { s.access.run(logging) })
	defer logged.Wait()
	defer stopLog()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", address, err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := server.Shutdown(drain); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("shut down", "address", address.String(), "error", err)
	}
	err := server.Close()
	<-failed
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close %s: %w", address, err)
	}
	return nil
}
