package blob

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/host/cloud"
	"imprint/host/enroll"
)

func serve(t *testing.T, c *tls.Config, h http.Handler) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Listener = tls.NewListener(s.Listener, c)
	s.Start()
	t.Cleanup(s.Close)
	return strings.Replace(s.URL, "http:", "https:", 1)
}

// authority is a throw-away one, and its service API.
type authority struct {
	*enroll.Authority
	api *enroll.Identity
	url string // where nodes enrol
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	a, err := enroll.OpenAuthority(enroll.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	s := authority{Authority: a}
	s.api = s.issue(t, enroll.API)
	s.url = serve(t, s.api.EnrollConfig(a.Revocations()), a.Handler())
	return s
}

func (a authority) issue(t *testing.T, r enroll.Role) *enroll.Identity {
	t.Helper()
	dir := filepath.Join(t.TempDir(), string(r))
	if err := a.Issue(r, nil, dir); err != nil {
		t.Fatal(err)
	}
	id, err := enroll.LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (a authority) node(t *testing.T, name string) *enroll.Identity {
	t.Helper()
	token, err := a.NewToken(name, []enroll.NodeRole{enroll.ComputeNode}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	id, err := enroll.Enroll(t.Context(), a.url, token, filepath.Join(t.TempDir(), name))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// access lets each peer read what the table names.
func (a authority) access(table map[string][]cloud.Digest) Access {
	return Access{
		Peer: func(s tls.ConnectionState) (string, error) {
			p, err := a.Revocations().Check(s)
			return p.String(), err
		},
		Allow: func(peer string, d cloud.Digest) bool {
			for _, named := range table[peer] {
				if named == d {
					return true
				}
			}
			return false
		},
	}
}

func anyone(enroll.Peer) bool { return true }

func remote(t *testing.T, url string, id *enroll.Identity) *Remote {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: id.ClientConfig(enroll.API)}
	t.Cleanup(transport.CloseIdleConnections)
	return &Remote{BaseURL: url, Client: &http.Client{Transport: transport}}
}

func put(t *testing.T, s *Store, b []byte) cloud.Digest {
	t.Helper()
	d, err := s.PutBytes(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestReadsAreOfOnesOwn(t *testing.T) {
	s, a := open(t), newAuthority(t)
	of1, of2 := put(t, s, []byte("of n1")), put(t, s, []byte("of n2"))
	gone := cloud.DigestOf([]byte("gone"))
	url := serve(t, a.api.ServerConfig(a.Revocations(), anyone), Handler(s, a.access(map[string][]cloud.Digest{
		"node n1": {of1, gone}, "node n2": {of2}, "service metadata": {of1, of2},
	}), nil))
	n1, n2 := remote(t, url, a.node(t, "n1")), remote(t, url, a.node(t, "n2"))
	meta, store := remote(t, url, a.issue(t, enroll.Metadata)), remote(t, url, a.issue(t, enroll.Store))
	const ok = cloud.Kind(255)
	read := func(r *Remote, d cloud.Digest, want string) cloud.Kind {
		b, err := r.ReadAll(d, 5)
		if err != nil {
			return cloud.KindOf(err)
		}
		if string(b) != want {
			t.Errorf("read %q, want %q", b, want)
		}
		return ok
	}
	got := map[string]cloud.Kind{
		"n1 own": read(n1, of1, "of n1"), "n1 other": read(n1, of2, ""), "n1 gone": read(n1, gone, ""),
		"n2 own": read(n2, of2, "of n2"), "n2 other": read(n2, of1, ""), "n2 gone": read(n2, gone, ""),
		"metadata 1": read(meta, of1, "of n1"), "metadata 2": read(meta, of2, "of n2"), "store": read(store, of1, ""),
		"no digest": read(n1, "../"+of1, ""),
	}
	want := map[string]cloud.Kind{
		"n1 own": ok, "n1 other": cloud.Forbidden, "n1 gone": cloud.NotFound,
		"n2 own": ok, "n2 other": cloud.Forbidden, "n2 gone": cloud.Forbidden,
		"metadata 1": ok, "metadata 2": ok, "store": cloud.Forbidden, "no digest": cloud.Invalid,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := a.Revoke("n2"); err != nil { // its connection stands
		t.Fatal(err)
	}
	if k := read(n2, of2, ""); k != cloud.Forbidden {
		t.Errorf("revoked: %v", k)
	}
}

func TestRemoteReadsAsTheStoreDoes(t *testing.T) {
	s, a := open(t), newAuthority(t)
	big := bytes.Repeat([]byte("0123456789abcdef"), 3*piece/16+1)
	empty, whole, damaged := put(t, s, nil), put(t, s, big), put(t, s, []byte("hello"))
	path, _ := s.path(damaged)
	if err := os.WriteFile(path, []byte("hullo"), 0o600); err != nil {
		t.Fatal(err)
	}
	url := serve(t, a.api.ServerConfig(a.Revocations(), anyone),
		Handler(s, a.access(map[string][]cloud.Digest{"node n1": {empty, whole, damaged}}), nil))
	r := remote(t, url, a.node(t, "n1"))
	for _, from := range []interface {
		Open(cloud.Digest) (io.ReadCloser, int64, error)
		ReadAll(cloud.Digest, int64) ([]byte, error)
	}{s, r} {
		if b, err := from.ReadAll(empty, 0); err != nil || len(b) != 0 {
			t.Errorf("empty: %q, %v", b, err)
		}
		body, size, err := from.Open(whole)
		if err != nil || size != int64(len(big)) {
			t.Fatalf("%d, %v", size, err)
		}
		got, err := io.ReadAll(body)
		if err = errors.Join(err, body.Close()); err != nil || !bytes.Equal(got, big) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if _, err := from.ReadAll(whole, 1000); cloud.KindOf(err) != cloud.TooLarge {
			t.Errorf("over the limit: %v", err)
		}
		if _, err := from.ReadAll(damaged, 5); err == nil || !strings.Contains(err.Error(), "its content is damaged") {
			t.Errorf("damaged: %v", err)
		}
	}
	body, _, err := r.Open(damaged)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if b, err := io.ReadAll(body); err == nil || !strings.Contains(err.Error(), "its content is damaged") {
		t.Errorf("read %q, %v", b, err)
	}
}

func TestHandlerRefuses(t *testing.T) {
	s := open(t)
	d := put(t, s, []byte("x"))
	all := Access{func(tls.ConnectionState) (string, error) { return "n1", nil }, func(string, cloud.Digest) bool { return true }}
	h := Handler(s, all, nil)
	call := func(method, path string, state *tls.ConnectionState) int {
		r, w := httptest.NewRequest(method, "http://x"+path, nil), httptest.NewRecorder()
		r.TLS = state
		h.ServeHTTP(w, r)
		return w.Code
	}
	state := &tls.ConnectionState{}
	for path, want := range map[string]int{
		"/blobs/" + string(d):                  200,
		"/blobs/" + strings.ToUpper(string(d)): 403,
		"/blobs/..%2f..%2fetc%2fpasswd":        403,
		"/blobs/":                              404,
		"/":                                    404,
		"/blobs/" + string(cloud.DigestOf([]byte("other"))): 404,
	} {
		if got := call(http.MethodHead, path, state); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	if got := call(http.MethodGet, "/blobs/"+string(d), nil); got != 403 {
		t.Errorf("without TLS: %d", got)
	}
	if got := call(http.MethodPut, "/blobs/"+string(d), state); got != 405 {
		t.Errorf("PUT: %d", got)
	}
}

func TestReadsAreBounded(t *testing.T) {
	var r reads
	for range maxPeerReads {
		if !r.enter("n1") {
			t.Fatal("too few")
		}
	}
	if r.enter("n1") || !r.enter("n2") {
		t.Error("one peer is not bounded by itself")
	}
	for i := range maxReads {
		r.enter(string(rune('a' + i)))
	}
	if r.enter("another") {
		t.Error("all are not bounded")
	}
	r.leave("n1")
	if !r.enter("n1") {
		t.Error("a place was not given back")
	}
}

// TestServersThatCannotBeTrusted: what a broken server does reaches the reader
// as an error.
func TestServersThatCannotBeTrusted(t *testing.T) {
	d := cloud.DigestOf([]byte("hello"))
	head := "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
	for name, tc := range map[string]struct{ answer, want string }{
		"cut off":       {head + "he", "unexpected EOF"},
		"other bytes":   {head + "hullo", "its content is damaged"},
		"no size":       {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", "does not tell the size"},
		"elsewhere":     {"HTTP/1.1 302 Found\r\nLocation: http://example.invalid/\r\nContent-Length: 0\r\n\r\n", "answers 302"},
		"broken":        {"HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n", "answers 500"},
		"busy":          {"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n", "is busy"},
		"enormous":      {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "at most 5 are read"},
		"silent":        {"", "the server says nothing"},
		"silent midway": {head + "he", "the server says nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				go func() {
					if _, err := http.ReadRequest(bufio.NewReader(far)); err != nil {
						t.Error(err)
					}
					io.WriteString(far, tc.answer)
					if !strings.HasPrefix(name, "silent") {
						far.Close()
					}
				}()
				transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil }}
				defer transport.CloseIdleConnections()
				r := &Remote{BaseURL: "http://blobs", Client: &http.Client{Transport: transport}}
				began := time.Now()
				if b, err := r.ReadAll(d, 5); err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("%q, %v, want %q", b, err, tc.want)
				}
				if took := time.Since(began); took > stallTimeout {
					t.Errorf("it took %v", took)
				}
				far.Close()
			})
		})
	}
}
