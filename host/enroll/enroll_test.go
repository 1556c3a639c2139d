package enroll

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var allRoles = []NodeRole{NetworkNode, ComputeNode, MetadataAgent}

// site is a throw-away authority that serves on loopback.
type site struct {
	*Authority
	dir      string
	url      string
	service  *Identity // role API
	requests atomic.Int32
	ahead    atomic.Int64 // of the authority's clock, in nanoseconds
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{dir: filepath.Join(t.TempDir(), "authority")}
	var err error
	s.Authority, err = OpenAuthority(Options{Dir: s.dir, Now: s.now})
	if err != nil {
		t.Fatal(err)
	}
	s.service = s.issue(t, API)
	h := s.Handler()
	s.url = serveTLS(t, s.service.EnrollConfig(s.Revocations()), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		h.ServeHTTP(w, r)
	}))
	return s
}

func (s *site) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

func (s *site) issue(t *testing.T, r Role, hosts ...string) *Identity {
	t.Helper()
	dir := filepath.Join(t.TempDir(), string(r))
	if err := s.Issue(r, hosts, dir); err != nil {
		t.Fatal(err)
	}
	return load(t, dir)
}

func load(t *testing.T, dir string) *Identity {
	t.Helper()
	i, err := LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func (s *site) token(t *testing.T, node string, roles ...NodeRole) Token {
	t.Helper()
	if roles == nil {
		roles = allRoles
	}
	token, err := s.NewToken(node, roles, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// enrol makes a node.
func (s *site) enrol(t *testing.T, node string, roles ...NodeRole) *Identity {
	t.Helper()
	i, err := Enroll(t.Context(), s.url, s.token(t, node, roles...), filepath.Join(t.TempDir(), "id"))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func serveTLS(t *testing.T, c *tls.Config, h http.Handler) string {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Listener = tls.NewListener(server.Listener, c) // StartTLS would add a certificate of its own
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "http:", "https:", 1)
}

// connect shakes hands over loopback and returns what each side says of it.
func connect(t *testing.T, server, client *tls.Config) (state tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		c, err := (&tls.Dialer{Config: client}).DialContext(ctx, "tcp", l.Addr().String())
		if err == nil {
			_, err = c.Read(make([]byte, 1)) // the server's refusal comes after the client's handshake
			c.Close()
		}
		done <- err
	}()
	raw, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Server(raw, server)
	serverErr = conn.HandshakeContext(ctx)
	if serverErr == nil {
		state = conn.ConnectionState()
		_, err = conn.Write([]byte("x"))
	}
	clientErr = <-done
	if err != nil {
		t.Error(err)
	}
	conn.Close()
	return state, serverErr, clientErr
}

func anyone(Peer) bool { return true }

func TestEnrol(t *testing.T) {
	s := newSite(t)
	dir := filepath.Join(t.TempDir(), "new", "id")
	node, err := Enroll(t.Context(), s.url, s.token(t, "n1", MetadataAgent, ComputeNode, ComputeNode), dir)
	if err != nil {
		t.Fatal(err)
	}
	want := Peer{Node: "n1", Roles: []NodeRole{ComputeNode, MetadataAgent}}
	got := node.Peer()
	if d := time.Until(got.NotAfter); d < 29*24*time.Hour || d > 30*24*time.Hour {
		t.Errorf("it expires in %v", d)
	}
	got.NotAfter = time.Time{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for name, mode := range map[string]os.FileMode{".": 0o700, IdentityFile: 0o600, CAFile: 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if entries, err := os.ReadDir(dir); len(entries) != 2 || err != nil {
		t.Errorf("%v, %v", entries, err)
	}
	state, _, err := connect(t, s.service.ServerConfig(s.Revocations(), anyone), node.ClientConfig(API))
	if err != nil {
		t.Fatal(err)
	}
	name, roles, err := NodeOf(state)
	if err != nil || name != "n1" || !cmp.Equal(roles, want.Roles) {
		t.Errorf("%q, %v, %v", name, roles, err)
	}
	if r, err := RoleOf(state); err == nil {
		t.Errorf("a node passes for service %q", r)
	}
}

func TestServices(t *testing.T) {
	s := newSite(t)
	meta := s.issue(t, Metadata, "controller.example", "192.0.2.1")
	state, _, err := connect(t, s.service.ServerConfig(s.Revocations(), anyone), meta.ClientConfig(API))
	if err != nil {
		t.Fatal(err)
	}
	if r, err := RoleOf(state); r != Metadata || err != nil {
		t.Errorf("%q, %v", r, err)
	}
	if n, _, err := NodeOf(state); err == nil {
		t.Errorf("a service passes for node %q", n)
	}
	leaf := meta.present().leaf
	if leaf.VerifyHostname("controller.example") != nil || leaf.VerifyHostname("192.0.2.1") != nil || leaf.Subject.CommonName != "imprint:role:metadata" {
		t.Errorf("names: %v, %v, %s", leaf.DNSNames, leaf.IPAddresses, leaf.Subject)
	}
	for _, tc := range []struct {
		role  Role
		hosts []string
	}{{"nobody", nil}, {"", nil}, {API, []string{"*.example"}}, {API, []string{""}}} {
		if err := s.Issue(tc.role, tc.hosts, t.TempDir()); err == nil {
			t.Errorf("%+v was issued", tc)
		}
	}
}

func TestUnverifiedStateIsNobody(t *testing.T) {
	node := newSite(t).enrol(t, "n1")
	state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{node.present().leaf}}
	if _, _, err := NodeOf(state); err == nil {
		t.Error("a certificate that nobody verified was believed")
	}
}
