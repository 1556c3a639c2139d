package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"imprint/host/cloud"
)

const nodeRole Role = "imprint:node:compute-1"

// TestClientRefused: who is not a client of the store is not let in, and is
// told why; the store's log names it.
func TestClientRefused(t *testing.T) {
	s := newServed(t)
	ca, other := s.ca, newAuthority(t, "another authority")
	api := []Role{RoleAPI}
	for _, c := range []struct {
		name string
		cert tls.Certificate
		want string
	}{
		{"none", tls.Certificate{}, "the store demands a certificate of its clients"},
		{"of another authority", other.issue(t, "c1", api), "the store does not know the authority of this client's certificate"},
		{"expired", ca.issue(t, "c2", api, expired), "this client's certificate has expired or is not valid yet"},
		{"of a node", ca.issue(t, "compute-1", []Role{nodeRole}), "this client's certificate is not that of a client of the store"},
		{"of a node that is more", ca.issue(t, "compute-2", []Role{nodeRole, RoleAPI}), "is not that of a client of the store"},
		{"without a role", ca.issue(t, "c3", nil), "is not that of a client of the store"},
		{"of the store", ca.issue(t, "c4", []Role{RoleStore}), "is not that of a client of the store"},
		{"for servers", ca.issue(t, "c5", api, forServer), "is not that of a client of the store"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := ca.client(c.cert)
			if c.cert.Certificate == nil {
				conf.Certificates = nil
			}
			wantRefused(t, s.endpoint(), conf, c.want)
		})
	}
	s.stop()
	for _, want := range []string{"compute-1", string(nodeRole), "store did not let a client in", "expired"} {
		if !strings.Contains(s.logged.String(), want) {
			t.Errorf("the log does not have %q:\n%s", want, s.logged.String())
		}
	}
}

func wantRefused(t *testing.T, endpoint string, conf *tls.Config, texts ...string) {
	t.Helper()
	e, err := OpenRemote(t.Context(), Remote{Endpoints: []string{endpoint}, TLS: conf})
	if err == nil {
		e.Close()
	}
	if !errors.Is(err, ErrRefused) {
		t.Errorf("error %v, want that it is refused: %s", err, texts)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want that it says %s", err, text)
		}
	}
}

// TestNodeGetsNothing: a node's connection ends before the store has said
// anything over it.
func TestNodeGetsNothing(t *testing.T) {
	s := newServed(t)
	conf := s.ca.client(s.ca.issue(t, "compute-1", []Role{nodeRole}))
	conf.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", s.addr, conf)
	if err != nil {
		t.Fatal(err) // TLS 1.3: the refusal comes after the client's part
	}
	defer conn.Close()
	got, err := io.ReadAll(conn)
	if len(got) != 0 || err == nil || !strings.Contains(err.Error(), "bad certificate") {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestOldTLSAndNoTLS(t *testing.T) {
	s := newServed(t)
	conf := s.ca.client(s.ca.issue(t, "api", []Role{RoleAPI}))
	conf.MaxVersion = tls.VersionTLS12
	if conn, err := tls.Dial("tcp", s.addr, conf); err == nil {
		conn.Close()
		t.Error("TLS 1.2 is accepted")
	}
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(conn); strings.Contains(string(got), "HTTP") || len(got) > 7 { // at most an alert
		t.Errorf("without TLS: %q", got)
	}
}

// TestStoreRefused: a client does not believe whoever answers.
func TestStoreRefused(t *testing.T) {
	other := newAuthority(t, "another authority")
	elsewhere := func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} }
	onlyClient := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }
	ca := newAuthority(t, "authority")
	for _, c := range []struct {
		name string
		cert tls.Certificate
		want string
	}{
		{"another authority", other.issue(t, "store", []Role{RoleStore}, forServer), "unknown authority"},
		{"another address", ca.issue(t, "store", []Role{RoleStore}, forServer, elsewhere), "192.0.2.1"},
		{"expired", ca.issue(t, "store", []Role{RoleStore}, forServer, expired), "expired"},
		{"a node", ca.issue(t, "compute-1", []Role{nodeRole}, forServer), "not that of a store"},
		{"no server", ca.issue(t, "store", []Role{RoleStore}, forServer, onlyClient), "incompatible key usage"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := openEtcd(t, t.TempDir())
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			go e.Serve(t.Context(), l, &tls.Config{Certificates: []tls.Certificate{c.cert}, ClientCAs: ca.pool})
			conf := ca.client(ca.issue(t, "api", []Role{RoleAPI}))
			wantRefused(t, "https://"+l.Addr().String(), conf, "the store's certificate is not accepted", c.want)
		})
	}
}

// TestCertificateExpiresMeanwhile: a connection does not outlive the right
// that it was made with.
func TestCertificateExpiresMeanwhile(t *testing.T) {
	s := newServed(t)
	soon := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(3 * time.Second) }
	conf := s.ca.client(s.ca.issue(t, "api", []Role{RoleAPI}, soon))
	e, err := OpenRemote(t.Context(), Remote{Endpoints: []string{s.endpoint()}, TLS: conf})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := e.Watch(t.Context(), "/", 2, func([]Event) error { return nil }); cloud.KindOf(err) != cloud.Unavailable {
		t.Errorf("watch: %v", err)
	}
	if _, err := e.Get(t.Context(), "/a"); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "expired") {
		t.Errorf("get: %v", err)
	}
}

func TestServeSettings(t *testing.T) {
	ca := newAuthority(t, "authority")
	e := openEtcd(t, t.TempDir())
	for name, c := range map[string]struct {
		change func(*tls.Config)
		want   string
	}{
		"no certificate": {func(c *tls.Config) { c.Certificates = nil }, "the store's certificate is missing"},
		"no authority":   {func(c *tls.Config) { c.ClientCAs = nil }, "authority of the clients' certificates is missing"},
		"by client": {func(c *tls.Config) {
			c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }
		}, "not possible"},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		conf := ca.server(t)
		c.change(conf)
		if err := e.Serve(t.Context(), l, conf); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ended := make(chan error, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { ended <- e.Serve(context.WithoutCancel(t.Context()), l, ca.server(t)) }()
	l.Close()
	if err := <-ended; err == nil {
		t.Error("nothing was said of a listener that is gone")
	}
}

func TestRemoteSettings(t *testing.T) {
	ca := newAuthority(t, "authority")
	good := ca.client(ca.issue(t, "api", []Role{RoleAPI}))
	trusting := good.Clone()
	trusting.InsecureSkipVerify = true
	for name, c := range map[string]struct {
		remote Remote
		want   string
	}{
		"no endpoint":      {Remote{TLS: good}, "no endpoint"},
		"plain":            {Remote{Endpoints: []string{"http://127.0.0.1:1"}, TLS: good}, "https://host:port"},
		"no port":          {Remote{Endpoints: []string{"https://127.0.0.1"}, TLS: good}, "https://host:port"},
		"a path":           {Remote{Endpoints: []string{"https://127.0.0.1:1/a"}, TLS: good}, "https://host:port"},
		"no TLS":           {Remote{Endpoints: []string{"https://127.0.0.1:1"}}, "authority of the store's certificate is missing"},
		"no authority":     {Remote{Endpoints: []string{"https://127.0.0.1:1"}, TLS: &tls.Config{}}, "authority of the store's certificate is missing"},
		"not to be proved": {Remote{Endpoints: []string{"https://127.0.0.1:1"}, TLS: trusting}, "has to be verified"},
	} {
		if _, err := OpenRemote(t.Context(), c.remote); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
