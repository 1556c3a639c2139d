package blob

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"imprint/host/cloud"
)

// oneConn is a listener of one connection.
type oneConn chan net.Conn

func (o oneConn) Accept() (net.Conn, error) {
	if c, ok := <-o; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (o oneConn) Close() error   { return nil }
func (o oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// TestSlowReaderIsCutOff: who takes nothing does not keep a place for ever.
func TestSlowReaderIsCutOff(t *testing.T) {
	s := open(t)
	d := put(t, s, make([]byte, 2*piece))
	all := Access{func(tls.ConnectionState) (string, error) { return "n1", nil }, func(string, cloud.Digest) bool { return true }}
	synctest.Test(t, func(t *testing.T) {
		h, ended := Handler(s, all, nil), make(chan time.Time, 1)
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() { ended <- time.Now() }()
			r.TLS = &tls.ConnectionState{}
			h.ServeHTTP(w, r)
		})}
		near, far := net.Pipe()
		l := make(oneConn, 1)
		l <- far
		go server.Serve(l)
		began := time.Now()
		if _, err := near.Write([]byte("GET /blobs/" + string(d) + " HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if d := (<-ended).Sub(began); d != pieceTimeout {
			t.Errorf("cut off after %v", d)
		}
		near.Close()
		close(l)
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
