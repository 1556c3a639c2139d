package store

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// served is an etcd that serves others, on one address as long as the test.
type served struct {
	*Etcd
	ca     *authority
	addr   string
	quota  int64
	logged bytes.Buffer // to be read after stop
	stop   func()       // of the etcd that runs; once
}

func newServed(t *testing.T) *served {
	t.Helper()
	s := &served{ca: newAuthority(t, "authority"), addr: freeAddr(t)}
	s.start(t, t.TempDir())
	t.Cleanup(func() { s.stop() })
	return s
}

// start opens the etcd in dir and serves it.
func (s *served) start(t *testing.T, dir string) {
	t.Helper()
	e, err := OpenEtcd(t.Context(), EtcdOptions{Dir: dir, Quota: s.quota, Log: slog.New(slog.NewTextHandler(&s.logged, nil))})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	s.Etcd = e
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	conf := s.ca.server(t)
	go func() { ended <- e.Serve(ctx, l, conf) }()
	s.stop = func() {
		s.stop = func() {}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}

// freeAddr is outside the range from which the kernel takes the ports of
// clients: a client that tries a port of that range again and again may connect
// to itself, and the server could not come back to it.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+rand.IntN(10000)))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}

func (s *served) endpoint() string { return "https://" + s.addr }

// open returns an engine that ends with the test unless the test closes it.
func (s *served) open(t *testing.T, role Role) *remote {
	t.Helper()
	conf := s.ca.client(s.ca.issue(t, string(role), []Role{role}))
	e, err := OpenRemote(t.Context(), Remote{Endpoints: []string{s.endpoint()}, TLS: conf})
	if err != nil {
		t.Fatal(err)
	}
	r := e.(*remote)
	t.Cleanup(func() {
		if r.ctx.Err() == nil {
			r.Close()
		}
	})
	return r
}

// compactable is a remote engine for the conformance suite.
type compactable struct {
	*remote
	server *served
}

func (c compactable) Compact(ctx context.Context, revision int64) error {
	return c.server.Compact(ctx, revision)
}

func (s *served) api(t *testing.T) compactable {
	t.Helper()
	return compactable{s.open(t, RoleAPI), s}
}
