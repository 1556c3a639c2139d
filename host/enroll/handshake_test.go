package enroll

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestHandshake(t *testing.T) {
	s, other := newSite(t), newSite(t)
	node, store := s.enrol(t, "n1"), s.issue(t, Store, "127.0.0.1")
	stranger := other.enrol(t, "n1")
	nodes := func(p Peer) bool { return p.Node != "" }
	services := func(p Peer) bool { return p.Role != "" }
	bare := func(c *tls.Config) *tls.Config {
		c.GetClientCertificate = nil
		return c
	}
	old := func(c *tls.Config) *tls.Config {
		c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
		return c
	}
	blind := func(c *tls.Config) *tls.Config { // a client that checks nothing
		c.VerifyConnection = nil
		return c
	}
	late := &Identity{dir: node.dir, file: cached[*pair]{path: node.file.path, parse: parsePair},
		now: func() time.Time { return time.Now().Add(31 * 24 * time.Hour) }}
	cases := []struct {
		name           string
		server, client *tls.Config
		refusal        string // of either side
	}{
		{"node to api", s.service.ServerConfig(s.Revocations(), nodes), node.ClientConfig(API), ""},
		{"service to store", store.ServerConfig(s.Revocations(), services), s.service.ClientConfig(Store), ""},
		{"node to store", store.ServerConfig(s.Revocations(), services), node.ClientConfig(Store), "node n1 has nothing to do here"},
		{"service to store, by host", store.ServerConfig(nil, anyone), s.service.HostConfig(), ""},
		{"node where no list is", store.ServerConfig(nil, anyone), node.ClientConfig(Store), "node n1 has nothing to do here"},
		{"wrong service", store.ServerConfig(s.Revocations(), anyone), node.ClientConfig(API), "the server is service store; service api is wanted"},
		{"node serves", node.ServerConfig(s.Revocations(), anyone), node.ClientConfig(API), "incompatible key usage"},
		{"no certificate", s.service.ServerConfig(s.Revocations(), anyone), bare(node.ClientConfig(API)), "client didn't provide a certificate"},
		{"node of another authority", s.service.ServerConfig(s.Revocations(), anyone), blind(stranger.ClientConfig(API)), "unknown authority"},
		{"service of another authority", other.service.ServerConfig(other.Revocations(), anyone), node.ClientConfig(API), "unknown authority"},
		{"TLS 1.2", s.service.ServerConfig(s.Revocations(), anyone), old(node.ClientConfig(API)), "unsupported versions"},
		{"expired node", late.serverAt(s), blind(node.ClientConfig(API)), "expired"},
		{"expired service", s.service.ServerConfig(s.Revocations(), anyone), late.ClientConfig(API), "expired"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			_, serverErr, clientErr := connect(t, tc.server, tc.client)
			if tc.refusal == "" {
				if serverErr != nil || clientErr != nil {
					t.Errorf("server: %v, client: %v", serverErr, clientErr)
				}
				return
			}
			said := func(err error) bool { return err != nil && strings.Contains(err.Error(), tc.refusal) }
			if clientErr == nil || !said(serverErr) && !said(clientErr) {
				t.Errorf("server: %v, client: %v, want %q", serverErr, clientErr, tc.refusal)
			}
		})
	}
}

// serverAt is the API service with i's clock.
func (i *Identity) serverAt(s *site) *tls.Config {
	c := s.service.ServerConfig(s.Revocations(), anyone)
	c.Time = i.now
	return c
}

func TestRevoked(t *testing.T) {
	s := newSite(t)
	n1, n2 := s.enrol(t, "n1"), s.enrol(t, "n2")
	elsewhere, err := OpenRevocations(filepath.Join(s.dir, revokedFile))
	if err != nil {
		t.Fatal(err)
	}
	server := s.service.ServerConfig(elsewhere, anyone)
	state, _, err := connect(t, server, n2.ClientConfig(API))
	if err != nil {
		t.Fatal(err)
	}
	waiting := s.token(t, "n2")
	kept := s.token(t, "n1")
	if err := s.Revoke("n2"); err != nil {
		t.Fatal(err)
	}
	if _, err := elsewhere.Check(state); err == nil || !strings.Contains(err.Error(), "node n2 was revoked") {
		t.Errorf("connection that stands: %v", err)
	}
	if _, serverErr, clientErr := connect(t, server, n2.ClientConfig(API)); clientErr == nil || !strings.Contains(serverErr.Error(), "node n2 was revoked") {
		t.Errorf("new connection: %v, %v", serverErr, clientErr)
	}
	if err := n2.Renew(t.Context(), s.url); err == nil {
		t.Error("it could renew its certificate")
	}
	if _, _, err := s.renew(n2.present().leaf, n2.present().leaf.PublicKey); err == nil {
		t.Error("the authority renewed its certificate")
	}
	if _, err := Enroll(t.Context(), s.url, waiting, t.TempDir()); err == nil {
		t.Error("a token from before lets it in")
	}
	if _, _, err := connect(t, server, n1.ClientConfig(API)); err != nil {
		t.Errorf("another node: %v", err)
	}
	if _, err := Enroll(t.Context(), s.url, kept, t.TempDir()); err != nil {
		t.Errorf("another node's token: %v", err)
	}

	again := s.enrol(t, "n2")
	if _, _, err := connect(t, server, again.ClientConfig(API)); err != nil {
		t.Errorf("let in again: %v", err)
	}
	if err := again.Renew(t.Context(), s.url); err != nil || again.Peer().Generation != 1 {
		t.Errorf("generation %d, %v", again.Peer().Generation, err)
	}
	if _, _, clientErr := connect(t, server, n2.ClientConfig(API)); clientErr == nil {
		t.Error("the old certificate is good again")
	}
	if err := s.Revoke("../n2"); err == nil {
		t.Error("a path was revoked")
	}
}

// TestRevocationsOfBadFile: without the list nobody knows who was revoked.
func TestRevocationsOfBadFile(t *testing.T) {
	s := newSite(t)
	node, meta := s.enrol(t, "n1"), s.issue(t, Metadata)
	server := s.service.ServerConfig(s.Revocations(), anyone)
	path := filepath.Join(s.dir, revokedFile)
	for _, damage := range []func() error{
		func() error { return os.WriteFile(path, []byte(`{"n2"`), 0o644) },
		func() error { return os.WriteFile(path, []byte(`null`), 0o644) },
		func() error { return os.Remove(path) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenRevocations(path); err == nil {
			t.Error("it was opened")
		}
		if _, _, err := connect(t, server, node.ClientConfig(API)); err == nil {
			t.Error("a node was let in")
		}
		if _, _, err := connect(t, server, meta.ClientConfig(API)); err != nil {
			t.Errorf("services are on no list: %v", err)
		}
		if _, err := OpenAuthority(Options{Dir: s.dir}); err == nil {
			t.Error("the authority was opened")
		}
	}
	if err := os.WriteFile(path, []byte(`{}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := connect(t, server, node.ClientConfig(API)); err != nil {
		t.Errorf("after repair: %v", err)
	}
}
