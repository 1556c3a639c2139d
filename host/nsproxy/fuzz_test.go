package nsproxy

import (
	"bufio"
	"bytes"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"imprint/host/cloud"
)

// FuzzRequest takes what an instance sends through parsing, the checks and the
// request to the agent as it goes over the wire, and reads that again.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(get))
	f.Add([]byte("POST //a%2fb?c HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nX_Forwarded_For: 1\r\nConnection: a, x-forwarded-for\r\n\r\nab"))
	f.Add([]byte("GET http://169.254.169.254 HTTP/1.0\r\nX-Instance-ID: 1\r\nx-instance-id: 2\r\n\r\n"))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n"))
	w, err := newWay(routerKey, DefaultLimits())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil || check(r, DefaultLimits()) != nil {
			return
		}
		x := &exchange{r: r, conn: &conn{way: w, addr: netip.MustParseAddr("10.0.0.5")}, traceID: cloud.NewSecret(16)}
		var wire bytes.Buffer
		body := []byte("GET /smuggled HTTP/1.1\r\n\r\n")
		if err := x.outgoing(body[:min(int(r.ContentLength), len(body))]).Write(&wire); err != nil {
			return // the transport would not send it either
		}
		in := bufio.NewReader(&wire)
		got, err := http.ReadRequest(in)
		if err != nil {
			t.Fatalf("the agent cannot read it: %v\n%q", err, wire.Bytes())
		}
		if got.Body.Close(); in.Buffered() != 0 {
			t.Errorf("something follows the request: %q", raw)
		}
		for name, values := range got.Header {
			if isTrusted(spelling(name)) && len(values) != 1 {
				t.Errorf("%s: %q", name, values)
			}
		}
		set := 0
		for name := range got.Header {
			if isTrusted(spelling(name)) {
				set++
			}
		}
		if set != 3 || got.Header.Get(cloud.HeaderForwardedFor) != "10.0.0.5" || "router/"+got.Header.Get(cloud.HeaderRouterID) != routerKey {
			t.Errorf("%d headers that are believed: %v", set, got.Header)
		}
		if !strings.HasPrefix(got.RequestURI, "/") || len(got.TransferEncoding) > 0 {
			t.Errorf("%q becomes %q, %v", r.RequestURI, got.RequestURI, got.TransferEncoding)
		}
	})
}
