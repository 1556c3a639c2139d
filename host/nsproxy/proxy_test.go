package nsproxy

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/base/daemon"
	"imprint/host/cloud"
)

const (
	routerKey  = "router/dddddddd-0000-4000-8000-000000000004"
	networkKey = "network/aaaaaaaa-0000-4000-8000-000000000001"
)

// rig is a proxy in front of an agent of the test's.
type rig struct {
	proxy  *Proxy
	socket string
	log    *lockedBuffer
	stop   func() // waits for the proxy's end
}

// lockedBuffer is a log that is read when nobody writes any more.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func newRig(t *testing.T, l Limits, agent http.HandlerFunc) *rig {
	t.Helper()
	r := &rig{socket: filepath.Join(t.TempDir(), "agent"), log: &lockedBuffer{}}
	if agent != nil {
		r.serveAgent(t, agent)
	}
	r.proxy = New(r.socket, l, slog.New(slog.NewJSONHandler(r.log, nil)))
	r.stop = sync.OnceFunc(r.proxy.Close)
	t.Cleanup(r.stop)
	return r
}

func (r *rig) serveAgent(t *testing.T, agent http.HandlerFunc) {
	t.Helper()
	l, err := daemon.ListenUnix(r.socket, 0o600, -1, -1)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: agent}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
}

// listen hands a loopback listener over and returns its address.
func (r *rig) listen(t *testing.T, key string) string {
	t.Helper()
	f, address := socketFile(t, "127.0.0.1:0")
	if err := r.proxy.Put(daemon.Item{Key: key}, []*os.File{f}); err != nil {
		t.Fatal(err)
	}
	return address
}

func socketFile(t testing.TB, address string) (*os.File, string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	return f, l.Addr().String()
}

// dial connects and sees to it that the connection is closed.
func dial(t *testing.T, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { c.Close() })
	return c, bufio.NewReader(c)
}

// talk sends raw bytes on a new connection and returns the first answer, its
// body read; nil when the connection was closed instead.
func talk(t *testing.T, address, raw string) (*http.Response, string) {
	t.Helper()
	c, r := dial(t, address)
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	return answer(t, r)
}

func answer(t *testing.T, r *bufio.Reader) (*http.Response, string) {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, err.Error()
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err.Error()
	}
	return res, string(body)
}

const get = "GET /latest HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n"

func ok(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }

func TestSetsWhoAsksAndWhere(t *testing.T) {
	var got *http.Request
	var body string
	r := newRig(t, DefaultLimits(), func(w http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		got, body = req, string(b)
		w.Header().Set("Content-Type", "a/b")
		w.Header().Set("Traceparent", "x")
		w.Header().Set("Keep-Alive", "x")
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "short and stout")
	})
	for key, header := range map[string]string{routerKey: cloud.HeaderRouterID, networkKey: cloud.HeaderNetworkID} {
		res, text := talk(t, r.listen(t, key), "POST /openstack//latest/a%5fb%2f?c=d%20e HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nContent-Length: 2\r\n\r\npw")
		if res == nil || res.StatusCode != http.StatusTeapot || text != "short and stout" {
			t.Fatalf("%s: %v %q", key, res, text)
		}
		res.Header.Del("Date")
		if diff := cmp.Diff(http.Header{"Content-Type": {"a/b"}, "Content-Length": {"15"}}, res.Header); diff != "" {
			t.Errorf("%s: answer: %s", key, diff)
		}
		parent := got.Header.Get(cloud.HeaderTraceParent)
		got.Header.Del(cloud.HeaderTraceParent)
		_, id, _ := strings.Cut(key, "/")
		want := http.Header{"Accept": {"*/*"}, "Content-Length": {"2"}, "X-Forwarded-For": {"127.0.0.1"}, http.CanonicalHeaderKey(header): {id}}
		if diff := cmp.Diff(want, got.Header); diff != "" {
			t.Errorf("%s: to the agent: %s", key, diff)
		}
		if got.Method != "POST" || got.RequestURI != "/openstack//latest/a%5fb%2f?c=d%20e" || body != "pw" {
			t.Errorf("%s: %s %s %q", key, got.Method, got.RequestURI, body)
		}
		if len(parent) != 55 || !strings.HasPrefix(parent, "00-") {
			t.Errorf("%s: traceparent %q", key, parent)
		}
	}
}

func TestIPv6Peer(t *testing.T) {
	var from string
	r := newRig(t, DefaultLimits(), func(_ http.ResponseWriter, req *http.Request) { from = req.Header.Get(cloud.HeaderForwardedFor) })
	f, address := socketFile(t, "[::1]:0")
	g, mapped := socketFile(t, ":0") // :: takes IPv4 too, as in a router's namespace
	if err := r.proxy.Put(daemon.Item{Key: routerKey}, []*os.File{f, g}); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(mapped)
	for address, want := range map[string]string{address: "::1", "127.0.0.1:" + port: "127.0.0.1"} {
		if talk(t, address, get); from != want {
			t.Errorf("%s: %q", address, from)
		}
	}
}

func TestForgedHeadersAreGone(t *testing.T) {
	var got http.Header
	r := newRig(t, DefaultLimits(), func(_ http.ResponseWriter, req *http.Request) { got = req.Header })
	address := r.listen(t, networkKey)
	_, id, _ := strings.Cut(networkKey, "/")
	for _, name := range []string{
		"X-Forwarded-For", "x-forwarded-for", "X_Forwarded_For", "X-FORWARDED_FOR", "X.Forwarded.For", "X-Forwarded-Host", "X-Forwarded-Proto",
		"Forwarded", "forwarded", "X-Instance-ID", "X_INSTANCE_ID", "X-Instance-ID-Signature", "X-Tenant-ID", "x_tenant-id",
		"X-Neutron-Router-ID", "X-Neutron-Network-ID", "X-Neutron-Anything", "X_Neutron_Network_ID", "X-OVN-Network-ID", "x_ovn_network_id",
		"X-Metadata-Provider", "X-Metadata-Provider-Signature", "Traceparent", "tracestate", "Trace_Parent", "X-Real-IP",
		"TE", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Trailer",
	} {
		raw := "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat(name+": 10.9.9.9\r\n", 3) + "X-Kept: 1\r\n\r\n"
		got = nil
		if res, text := talk(t, address, raw); res == nil || res.StatusCode != 200 {
			t.Errorf("%s: %v %q", name, res, text)
		}
		got.Del(cloud.HeaderTraceParent)
		if name == "Trace_Parent" {
			got.Del(name) // nobody's header
		}
		want := http.Header{"X-Forwarded-For": {"127.0.0.1"}, "X-Neutron-Network-Id": {id}, "X-Kept": {"1"}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	talk(t, address, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close, X-Named\r\nX-Named: 1\r\nX-Kept: 1\r\n\r\n")
	if got.Get("X-Named") != "" || got.Get("X-Kept") != "1" || got.Get("Connection") != "" {
		t.Errorf("a header that Connection names: %v", got)
	}
	talk(t, address, "GET / HTTP/1.1\r\nHost: x\r\nConnection: X-Forwarded-For, X-Neutron-Network-ID\r\n\r\n")
	if got.Get(cloud.HeaderForwardedFor) != "127.0.0.1" || got.Get(cloud.HeaderNetworkID) != id {
		t.Errorf("Connection took our own headers: %v", got)
	}
}

func TestRefused(t *testing.T) {
	asked := 0
	l := DefaultLimits()
	l.HeadTime = 200 * time.Millisecond
	r := newRig(t, l, func(http.ResponseWriter, *http.Request) { asked++ })
	address := r.listen(t, routerKey)
	for name, c := range map[string]struct {
		raw    string
		status int
	}{
		"both lengths":           {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411},
		"both lengths, reversed": {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 411},
		"chunked":                {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", 411},
		"odd encoding":           {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n", 501},
		"two encodings":          {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", 501},
		"two lengths":            {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na", 400},
		"length is no number":    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na", 400},
		"space before the colon": {"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For : 1\r\n\r\n", 400},
		"folded header":          {"GET / HTTP/1.1\r\n X-Forwarded-For: 1\r\nHost: x\r\n\r\n", 400},
		"bare CR in a value":     {"GET / HTTP/1.1\r\nHost: x\r\nA: b\rX-Forwarded-For: 1\r\n\r\n", 400},
		"NUL in a value":         {"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00\r\n\r\n", 400},
		"two hosts":              {"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
		"no host":                {"GET / HTTP/1.1\r\n\r\n", 400},
		"CONNECT":                {"CONNECT 10.0.0.1:80 HTTP/1.1\r\nHost: x\r\n\r\n", 405},
		"CONNECT to a path":      {"CONNECT /latest HTTP/1.1\r\nHost: x\r\n\r\n", 405},
		"Upgrade":                {"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n", 400},
		"Connection: upgrade":    {"GET / HTTP/1.1\r\nHost: x\r\nConnection: close, UpGrade\r\n\r\n", 400},
		"HTTP/2 preface":         {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
		"absolute, elsewhere":    {"GET http://10.0.0.1/latest HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n", 400},
		"absolute, other port":   {"GET http://169.254.169.254:8775/ HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"absolute, user":         {"GET http://a@169.254.169.254/ HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"absolute, https":        {"GET https://169.254.169.254/ HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"asterisk":               {"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"relative":               {"GET latest HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"large head":             {"GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", l.Header+8192) + "\r\n\r\n", 431},
		"large body":             {fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", l.Body+1), 413},
		"unknown expectation":    {"GET / HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n\r\n", 417},
	} {
		res, text := talk(t, address, c.raw)
		if res == nil || res.StatusCode != c.status || !res.Close {
			t.Errorf("%s: %+v %q, want %d and the connection closed", name, res, text, c.status)
		}
	}
	if res, text := talk(t, address, "GET / HTTP/1.1\r\nHost:"); res != nil && res.StatusCode != 408 {
		t.Errorf("half a head: %d %q", res.StatusCode, text)
	}
	if asked != 0 {
		t.Errorf("the agent was asked %d times", asked)
	}
}

func TestAbsoluteTargetsOfTheService(t *testing.T) {
	var target string
	r := newRig(t, DefaultLimits(), func(_ http.ResponseWriter, req *http.Request) { target = req.RequestURI })
	address := r.listen(t, routerKey)
	for raw, want := range map[string]string{
		"http://169.254.169.254/latest?a": "/latest?a", "http://169.254.169.254:80": "/", "http://[fe80::a9fe:a9fe]/x": "/x", "//latest": "//latest",
	} {
		if res, text := talk(t, address, "GET "+raw+" HTTP/1.1\r\nHost: x\r\n\r\n"); res == nil || res.StatusCode != 200 || target != want {
			t.Errorf("%s: %v %q, agent got %q", raw, res, text, target)
		}
	}
}

func TestAgentAwayAndBack(t *testing.T) {
	r := newRig(t, DefaultLimits(), nil)
	c, in := dial(t, r.listen(t, routerKey))
	io.WriteString(c, get)
	res, text := answer(t, in)
	if res == nil || res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || !strings.Contains(text, "agent does not answer") {
		t.Fatalf("agent away: %v %q", res, text)
	}
	r.serveAgent(t, ok)
	io.WriteString(c, get)
	if res, text = answer(t, in); res == nil || res.StatusCode != 200 || text != "ok" {
		t.Errorf("agent back, same connection: %v %q", res, text)
	}
}

func TestListenersComeAndGo(t *testing.T) {
	r := newRig(t, DefaultLimits(), ok)
	first, second := r.listen(t, routerKey), r.listen(t, networkKey)
	c1, in1 := dial(t, first)
	c2, in2 := dial(t, second)
	stillServed := func(c net.Conn, in *bufio.Reader, what string) {
		t.Helper()
		io.WriteString(c, get)
		if res, text := answer(t, in); res == nil || text != "ok" {
			t.Errorf("%s: %v %q", what, res, text)
		}
	}
	stillServed(c1, in1, "first")
	stillServed(c2, in2, "second")

	replacement := r.listen(t, routerKey)
	stillServed(c1, in1, "connection to replaced sockets")
	if _, err := net.Dial("tcp", first); err == nil {
		t.Error("the replaced socket still takes connections")
	}
	if res, _ := talk(t, replacement, get); res == nil {
		t.Error("the new socket takes none")
	}
	if err := r.proxy.Put(daemon.Item{Key: routerKey, Data: json.RawMessage(`{"a":1}`)}, nil); err != nil {
		t.Error(err)
	}
	want := []daemon.Item{{Key: networkKey}, {Key: routerKey, Data: json.RawMessage(`{"a":1}`)}}
	if diff := cmp.Diff(want, r.proxy.List()); diff != "" {
		t.Error(diff)
	}

	for range 2 {
		if err := r.proxy.Remove(routerKey); err != nil {
			t.Error(err)
		}
	}
	if _, err := in1.ReadByte(); err != io.EOF {
		t.Errorf("connection of what was removed: %v", err)
	}
	if _, err := net.Dial("tcp", replacement); err == nil {
		t.Error("the removed socket still takes connections")
	}
	stillServed(c2, in2, "the other network")
	if diff := cmp.Diff(want[:1], r.proxy.List()); diff != "" {
		t.Error(diff)
	}
}

func TestPutRefuses(t *testing.T) {
	r := newRig(t, DefaultLimits(), ok)
	good := func() *os.File { f, _ := socketFile(t, "127.0.0.1:0"); return f }
	plain, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	fds := unixPair(t)
	for name, c := range map[string]struct {
		key   string
		files []*os.File
	}{
		"no kind": {"dddddddd-0000-4000-8000-000000000004", []*os.File{good()}}, "other kind": {"subnet/dddddddd-0000-4000-8000-000000000004", []*os.File{good()}},
		"no id": {"router/", []*os.File{good()}}, "not an id": {"router/../../etc", []*os.File{good()}},
		"id with more": {routerKey + "\r\nX: y", []*os.File{good()}}, "no sockets": {routerKey, nil},
		"a file": {routerKey, []*os.File{good(), plain}}, "not listening": {routerKey, []*os.File{fds}},
	} {
		if err := r.proxy.Put(daemon.Item{Key: c.key}, c.files); err == nil {
			t.Errorf("%s: taken", name)
		}
		for _, f := range c.files {
			if f.Close() == nil {
				t.Errorf("%s: a file was left open", name)
			}
		}
	}
	if n := len(r.proxy.List()); n != 0 {
		t.Errorf("%d items are held", n)
	}
}

// unixPair returns one end of a connection.
func unixPair(t *testing.T) *os.File {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f, err := c.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestConnectionLimits(t *testing.T) {
	l := DefaultLimits()
	l.PerClient, l.PerListener, l.Connections = 2, 3, 4
	r := newRig(t, l, ok)
	first, second := r.listen(t, routerKey), r.listen(t, networkKey)
	open := func(from, address string) (net.Conn, bool) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		io.WriteString(c, get)
		res, _ := answer(t, bufio.NewReader(c))
		return c, res != nil
	}
	for n, step := range []struct {
		from, to string
		served   bool
	}{
		{"127.0.0.1", first, true}, {"127.0.0.1", first, true}, {"127.0.0.1", first, false}, // per client
		{"127.0.0.2", first, true}, {"127.0.0.2", first, false}, // per listener
		{"127.0.0.1", second, true}, {"127.0.0.1", second, false}, // of all
	} {
		c, served := open(step.from, step.to)
		if served != step.served {
			t.Errorf("step %d: served %v", n, served)
		}
		if !served {
			c.Close()
		}
	}
	if err := r.proxy.Remove(routerKey); err != nil {
		t.Fatal(err)
	}
	if _, served := open("127.0.0.3", second); !served {
		t.Error("places of closed connections are not free again")
	}
}

func TestRequestLimits(t *testing.T) {
	l := DefaultLimits()
	l.PerWay, l.Requests = 1, 2
	entered, release := make(chan bool), make(chan bool)
	r := newRig(t, l, func(http.ResponseWriter, *http.Request) { entered <- true; <-release })
	addresses := []string{r.listen(t, routerKey), r.listen(t, networkKey), r.listen(t, strings.Replace(routerKey, "d", "e", 1))}
	var waiting sync.WaitGroup
	hold := func(address string) {
		waiting.Go(func() {
			if res, text := talk(t, address, get); res == nil || res.StatusCode != 200 {
				t.Errorf("held request: %v %q", res, text)
			}
		})
		<-entered
	}
	hold(addresses[0])
	if res, _ := talk(t, addresses[0], get); res == nil || res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("second of one network: %v", res)
	}
	hold(addresses[1])
	if res, _ := talk(t, addresses[2], get); res == nil || res.StatusCode != 503 {
		t.Errorf("third of all: %v", res)
	}
	close(release)
	waiting.Wait()
}

// TestClientWaitsForItself: more requests of one client than may be under way
// are served one after the other, and do not hinder another client.
func TestClientWaitsForItself(t *testing.T) {
	l := DefaultLimits()
	l.PerWay, l.ClientRequests = 3, 2
	entered, release := make(chan bool, 8), make(chan bool)
	r := newRig(t, l, func(http.ResponseWriter, *http.Request) { entered <- true; <-release })
	address := r.listen(t, routerKey)
	var waiting sync.WaitGroup
	start := func(from string) {
		waiting.Go(func() {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
			c, err := d.Dial("tcp", address)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			io.WriteString(c, get)
			if res, text := answer(t, bufio.NewReader(c)); res == nil || res.StatusCode != 200 {
				t.Errorf("%s: %v %q", from, res, text)
			}
		})
	}
	for range 5 {
		start("127.0.0.1")
	}
	<-entered
	<-entered
	start("127.0.0.2")
	<-entered
	close(release)
	waiting.Wait()
	l.ClientRequests, l.WaitTime = 1, time.Millisecond
	block := make(chan bool)
	r = newRig(t, l, func(http.ResponseWriter, *http.Request) { entered <- true; <-block })
	address = r.listen(t, routerKey)
	for len(entered) > 0 {
		<-entered
	}
	waiting.Go(func() { talk(t, address, get) })
	<-entered
	if res, _ := talk(t, address, get); res == nil || res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("who waited in vain: %v", res)
	}
	close(block)
	waiting.Wait()
}

func TestAnswersThatAreCut(t *testing.T) {
	l := DefaultLimits()
	l.Answer = 1000
	r := newRig(t, l, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/large" {
			w.Write(make([]byte, 100_000))
			return
		}
		w.Header().Set("Content-Length", "10")
		io.WriteString(w, "half")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	address := r.listen(t, routerKey)
	for _, path := range []string{"/large", "/half"} {
		if res, _ := talk(t, address, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); res != nil {
			t.Errorf("%s: the instance takes it for whole", path)
		}
	}
}

func TestLog(t *testing.T) {
	l := DefaultLimits()
	l.LogRate, l.LogBurst = 0.001, 2
	r := newRig(t, l, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("X-Trace", req.Header.Get(cloud.HeaderTraceParent))
		io.WriteString(w, "abc")
	})
	address := r.listen(t, networkKey)
	res, _ := talk(t, address, "GET /"+strings.Repeat("x", 1000)+" HTTP/1.1\r\nHost: x\r\n\r\n")
	for range 20 {
		talk(t, address, get)
	}
	r.stop()
	var lines []map[string]any
	for line := range strings.Lines(r.log.b.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		if delete(m, "time"); m["msg"] == "metadata request taken" {
			lines = append(lines, m)
		}
	}
	if len(lines) != 2 {
		t.Fatalf("%d lines of 21 requests", len(lines))
	}
	want := map[string]any{
		"level": "INFO", "msg": "metadata request taken", "trace_id": strings.Split(res.Header.Get("X-Trace"), "-")[1],
		"netns": networkKey, "client": "127.0.0.1", "method": "GET", "path": "/" + strings.Repeat("x", maxPathInLog-1), "status": 200.0, "bytes": 3.0,
	}
	if diff := cmp.Diff(want, lines[0]); diff != "" {
		t.Error(diff)
	}
}

func TestListenersAreCheap(t *testing.T) {
	const listeners, budget = 500, 24 << 10
	r := newRig(t, DefaultLimits(), ok)
	before := memory()
	for n := range listeners {
		r.listen(t, fmt.Sprintf("network/aaaaaaaa-0000-4000-8000-%012d", n))
	}
	if each := (memory() - before) / listeners; each > budget {
		t.Errorf("a listener takes %d bytes, want at most %d", each, budget)
	}
}

func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

func TestRunRefusesPrivilege(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "control"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := Run(context.Background(), l, "agent", nil); err == nil || !strings.Contains(err.Error(), "root") {
		t.Errorf("run as root: %v", err)
	}
}

// TestSlowClientHoldsNothing: clients that do not send the body they announced
// wait without taking places from others.
func TestSlowClientHoldsNothing(t *testing.T) {
	l := DefaultLimits()
	l.PerWay, l.Requests, l.ClientRequests = 1, 1, 1
	r := newRig(t, l, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "latest") })
	address := r.listen(t, routerKey)
	for range 5 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "POST /openstack/latest/password HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if res, text := talk(t, address, get); res == nil || res.StatusCode != 200 {
			t.Fatalf("another request: %v %q", res, text)
		}
	}
}

func TestEndlessMethodIsRefused(t *testing.T) {
	r := newRig(t, DefaultLimits(), func(http.ResponseWriter, *http.Request) { t.Error("it was passed on") })
	address := r.listen(t, routerKey)
	if res, _ := talk(t, address, strings.Repeat("A", 7000)+" / HTTP/1.1\r\nHost: x\r\n\r\n"); res == nil || res.StatusCode != 501 {
		t.Errorf("answer %v, want 501", res)
	}
}
