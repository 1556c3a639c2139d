package metadataagent

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// TestBodiesAndFraming: whatever frames and codings the service chooses and
// however the bytes arrive, the body is the same.
func TestBodiesAndFraming(t *testing.T) {
	const text = "instance-id\nlocal-hostname\n"
	gzipped := compressed(t, text, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
	zlibbed := compressed(t, text, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) })
	deflated := compressed(t, text, func(w io.Writer) io.WriteCloser {
		f, err := flate.NewWriter(w, flate.BestSpeed)
		if err != nil {
			t.Fatal(err)
		}
		return f
	})
	length := func(body string) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body) }
	for name, c := range map[string]struct {
		answer string // after the status line
		status int
	}{
		"length":         {length(text), 200},
		"until closed":   {"\r\n" + text, 200},
		"chunked":        {"Transfer-Encoding: chunked\r\n\r\n" + chunks(text, 1), 200},
		"gzip":           {"Content-Encoding: gzip\r\n" + length(gzipped), 200},
		"gzip, chunked":  {"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(gzipped, 3), 200},
		"deflate":        {"Content-Encoding: deflate\r\n" + length(zlibbed), 200},
		"bare deflate":   {"Content-Encoding: Deflate\r\n" + length(deflated), 200},
		"identity":       {"Content-Encoding: identity\r\n" + length(text), 200},
		"not gzip":       {"Content-Encoding: gzip\r\n" + length(text), 503},
		"unknown coding": {"Content-Encoding: br\r\n" + length(text), 503},
		"two codings":    {"Content-Encoding: gzip, deflate\r\n" + length(gzipped), 503},
	} {
		for _, split := range []int{1, 7, 1 << 20} {
			for _, neutron := range []bool{false, true} {
				conf := ownUID()
				conf.Services, conf.Secret, conf.NeutronForm = []string{inPieces(t, "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n"+c.answer, split)}, testSecret, neutron
				r := startRig(t, conf)
				r.agent.Update(twoRooms().Slice)
				status := c.status
				if neutron && status == 503 {
					status = 500
				}
				res, body := r.send(t, "GET", "/", headers(netA, "10.0.0.5"), nil)
				if res.StatusCode != status || status == 200 && body != text || res.Header.Get("Content-Encoding") != "" {
					t.Errorf("%s, pieces of %d: %d %q %v", name, split, res.StatusCode, body, res.Header)
				}
				r.stop()
			}
		}
	}
}

func compressed(t *testing.T, text string, writer func(io.Writer) io.WriteCloser) string {
	t.Helper()
	var b bytes.Buffer
	w := writer(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func chunks(body string, size int) string {
	var b strings.Builder
	for len(body) > 0 {
		n := min(size, len(body))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String() + "0\r\n\r\n"
}

// inPieces answers every connection with the bytes, so many at a time.
func inPieces(t *testing.T, answer string, size int) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 8192))
			for rest := answer; len(rest) > 0; rest = rest[min(size, len(rest)):] {
				io.WriteString(c, rest[:min(size, len(rest))])
			}
			c.Close()
		}
	}()
	return l.Addr().String()
}

// TestRequestBodies: a body arrives whole, chunked or not.
func TestRequestBodies(t *testing.T) {
	var got string
	r := newRig(t, ownUID(), func(_ http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		got = fmt.Sprint(req.ContentLength, " ", string(b))
	})
	for _, body := range []io.Reader{strings.NewReader("secret"), io.MultiReader(strings.NewReader("sec"), strings.NewReader("ret"))} {
		if r.send(t, "POST", "/openstack/latest/password", headers(netA, "10.0.0.5"), body); got != "6 secret" {
			t.Errorf("the service got %q", got)
		}
	}
}

// TestKeepAlive: one connection serves many requests, on either side, also
// after answers of the agent's own.
func TestKeepAlive(t *testing.T) {
	var toService, toAgent atomic.Int32
	service := httptest.NewUnstartedServer(http.HandlerFunc(stub))
	service.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			toService.Add(1)
		}
	}
	service.Start()
	t.Cleanup(service.Close)
	for _, neutron := range []bool{false, true} {
		c := ownUID()
		c.Services, c.Secret, c.NeutronForm = []string{service.Listener.Addr().String()}, testSecret, neutron
		r := startRig(t, c)
		r.agent.Update(twoRooms().Slice)
		transport := r.client.Transport.(*http.Transport)
		dial := transport.DialContext
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			toAgent.Add(1)
			return dial(ctx, network, address)
		}
		toService.Store(0)
		toAgent.Store(0)
		for _, path := range []string{"/", "/status/404", "/status/503", "/status/200"} {
			r.send(t, "GET", path, headers(netA, "10.0.0.5"), nil)
			r.send(t, "GET", path, headers(netA, "10.0.0.99"), nil)
		}
		if toService.Load() != 1 || toAgent.Load() != 1 {
			t.Errorf("neutron form %v: %d connections to the service, %d to the agent", neutron, toService.Load(), toAgent.Load())
		}
		r.stop()
	}
}
