package metadataagent

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
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imprint/base/daemon"
	"imprint/host/cloud"
)

const testSecret = "s3cret"

// rig is an agent on a unix socket in front of an upstream of the test's.
type rig struct {
	agent  *Agent
	client *http.Client
	socket string
	log    *lockedBuffer
	stop   func() // waits for the agent's end
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

func newRig(t *testing.T, c Config, upstream http.HandlerFunc) *rig {
	t.Helper()
	server := httptest.NewServer(upstream)
	t.Cleanup(server.Close)
	c.Services, c.Secret = []string{server.Listener.Addr().String()}, testSecret
	r := startRig(t, c)
	r.agent.Update(twoRooms().Slice)
	return r
}

func startRig(t *testing.T, c Config) *rig {
	t.Helper()
	r := &rig{socket: filepath.Join(t.TempDir(), "agent"), log: &lockedBuffer{}}
	var err error
	if r.agent, err = New(c, slog.New(slog.NewJSONHandler(r.log, nil))); err != nil {
		t.Fatal(err)
	}
	l, err := daemon.ListenUnix(r.socket, 0o600, -1, -1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.agent.Run(ctx, l) }()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", r.socket)
	}}
	r.client = &http.Client{Transport: transport}
	r.stop = sync.OnceFunc(func() {
		transport.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("agent: %v", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

func ownUID() Config { return Config{ProxyUID: uint32(os.Getuid())} }

// send sends a request with the headers and returns the answer and its body.
func (r *rig) send(t *testing.T, method, path string, h http.Header, body io.Reader) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://agent"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = h.Clone()
	res, err := r.client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(answer)
}

const someParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestForwardsWhatItProves(t *testing.T) {
	var got *http.Request
	var gotBody string
	r := newRig(t, ownUID(), func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		got, gotBody = req, string(body)
		for name, value := range map[string]string{
			"Content-Type": "a/b", "ETag": `"e"`, "Retry-After": "7", "Allow": "GET", "Cache-Control": "no-store", headerTokenTTL: "59",
			"Set-Cookie": "x=y", "Server": "nova", "X-Upstream": "1", "Location": "/else",
		} {
			w.Header().Set(name, value)
		}
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "short and stout")
	})
	h := headers(rtr, "10.0.0.6", "10.0.1.5")
	for _, forged := range []string{cloud.HeaderInstanceID, cloud.HeaderTenantID, cloud.HeaderInstanceSignature, "X-Metadata-Provider", "Cookie", "X-Custom"} {
		h.Set(forged, "forged")
	}
	h.Set("Accept", "text/html")
	h.Set("Content-Type", "text/plain")
	h.Set("If-None-Match", `"e"`)
	h.Set(headerToken, "t")
	h.Set(headerTokenTTL, "60")
	h.Set(cloud.HeaderTraceParent, someParent)
	res, body := r.send(t, "POST", "/openstack//latest/meta%5fdata?a=b%20c", h, strings.NewReader("pw"))

	want := http.Header{
		"Accept": {"text/html"}, "Content-Type": {"text/plain"}, "If-None-Match": {`"e"`}, "Content-Length": {"2"},
		headerToken: {"t"}, headerTokenTTL: {"60"},
		"X-Forwarded-For": {"10.0.1.5"}, "X-Instance-Id": {"three"}, "X-Tenant-Id": {"project-three"},
		"X-Instance-Id-Signature": {cloud.Signature(testSecret, "three")}, "Traceparent": {someParent},
	}
	if diff := cmp.Diff(want, got.Header); diff != "" {
		t.Errorf("headers to the service: %s", diff)
	}
	if got.RequestURI != "/openstack//latest/meta%5fdata?a=b%20c" || got.Method != "POST" || gotBody != "pw" {
		t.Errorf("%s %s %q", got.Method, got.RequestURI, gotBody)
	}
	res.Header.Del("Date")
	back := http.Header{
		"Content-Type": {"a/b"}, "Etag": {`"e"`}, "Retry-After": {"7"}, "Allow": {"GET"}, "Cache-Control": {"no-store"}, "Content-Length": {"15"}, headerTokenTTL: {"59"},
	}
	if diff := cmp.Diff(back, res.Header); diff != "" || res.StatusCode != http.StatusTeapot || body != "short and stout" {
		t.Errorf("answer %d %q %s", res.StatusCode, body, diff)
	}
}

func TestRefusals(t *testing.T) {
	called := false
	r := newRig(t, ownUID(), func(http.ResponseWriter, *http.Request) { called = true })
	both := headers(netA, "10.0.0.5")
	both.Set(cloud.HeaderRouterID, string(rtr))
	for name, c := range map[string]struct {
		h      http.Header
		status int
	}{
		"no ids": {http.Header{"X-Forwarded-For": {"10.0.0.5"}}, 400}, "both ids": {both, 400},
		"no address": {headers(netA), 400}, "nobody": {headers(netA, "10.0.0.99"), 404},
		"unknown router": {headers(other, "10.0.0.5"), 404}, "the DHCP port": {headers(netA, "10.0.0.2"), 404},
	} {
		res, body := r.send(t, "GET", "/latest", c.h, nil)
		if res.StatusCode != c.status || !strings.HasPrefix(body, fmt.Sprintf("%d %s\n\n", c.status, http.StatusText(c.status))) {
			t.Errorf("%s: %d %q", name, res.StatusCode, body)
		}
	}
	res, _ := r.send(t, "POST", "/latest", headers(netA, "10.0.0.5"), bytes.NewReader(make([]byte, maxRequest+1)))
	if res.StatusCode != http.StatusRequestEntityTooLarge || called {
		t.Errorf("large body: %d, service called: %v", res.StatusCode, called)
	}
}

func TestStatusesPass(t *testing.T) {
	r := newRig(t, ownUID(), func(w http.ResponseWriter, req *http.Request) {
		var status int
		fmt.Sscanf(req.URL.Path, "/%d", &status)
		w.WriteHeader(status)
	})
	r.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, status := range []int{200, 204, 301, 304, 400, 401, 403, 404, 405, 409, 413, 429, 500, 502, 503, 504} {
		res, _ := r.send(t, "GET", fmt.Sprint("/", status), headers(netA, "10.0.0.5"), nil)
		if res.StatusCode != status {
			t.Errorf("%d becomes %d", status, res.StatusCode)
		}
	}
}

func TestHEAD(t *testing.T) {
	r := newRig(t, ownUID(), func(w http.ResponseWriter, req *http.Request) { io.WriteString(w, req.Method) })
	res, body := r.send(t, "HEAD", "/latest", headers(netA, "10.0.0.5"), nil)
	if res.StatusCode != 200 || body != "" || res.ContentLength != 4 {
		t.Errorf("%d %q, length %d", res.StatusCode, body, res.ContentLength)
	}
}

func TestServiceAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	c := ownUID()
	c.Services, c.Secret = []string{address}, testSecret
	r := startRig(t, c)
	res, body := r.send(t, "GET", "/latest", headers(netA, "10.0.0.5"), nil)
	if res.StatusCode != 503 || !strings.Contains(body, "does not know its ports yet") {
		t.Errorf("before the first update: %d %q", res.StatusCode, body)
	}
	r.agent.Update(twoRooms().Slice)
	res, body = r.send(t, "GET", "/latest", headers(netA, "10.0.0.5"), nil)
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || !strings.Contains(body, "service does not answer") {
		t.Errorf("service away: %d %q %q", res.StatusCode, res.Header.Get("Retry-After"), body)
	}
	if l, err = net.Listen("tcp", address); err != nil {
		t.Skip("the port went to somebody else")
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "back") })}
	go server.Serve(l)
	defer server.Close()
	if res, body = r.send(t, "GET", "/latest", headers(netA, "10.0.0.5"), nil); res.StatusCode != 200 || body != "back" {
		t.Errorf("service back: %d %q", res.StatusCode, body)
	}
}

func TestAnswerTooLargeOrCut(t *testing.T) {
	r := newRig(t, ownUID(), func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/announced":
			w.Header().Set("Content-Length", fmt.Sprint(maxAnswer+1))
		case "/streamed":
			w.Write(make([]byte, maxAnswer+1))
		case "/cut":
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "half")
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	if res, _ := r.send(t, "GET", "/announced", headers(netA, "10.0.0.5"), nil); res.StatusCode != 503 {
		t.Errorf("announced: %d", res.StatusCode)
	}
	for _, path := range []string{"/streamed", "/cut"} {
		req, _ := http.NewRequest("GET", "http://agent"+path, nil)
		req.Header = headers(netA, "10.0.0.5")
		res, err := r.client.Do(req)
		if err != nil {
			continue // cut before the headers went out
		}
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err == nil {
			t.Errorf("%s: the proxy takes it for whole", path)
		}
	}
}

func TestBucketPerPort(t *testing.T) {
	c := ownUID()
	c.Limits = Limits{Rate: 0.001, Burst: 3}
	r := newRig(t, c, func(http.ResponseWriter, *http.Request) {})
	for n, want := range []int{200, 200, 200, 429, 429} {
		res, _ := r.send(t, "GET", "/latest", headers(netA, "10.0.0.5"), nil)
		if res.StatusCode != want || want == 429 && res.Header.Get("Retry-After") == "" {
			t.Errorf("request %d: %d, Retry-After %q", n, res.StatusCode, res.Header.Get("Retry-After"))
		}
	}
	if res, _ := r.send(t, "GET", "/latest", headers(netA, "10.0.0.6"), nil); res.StatusCode != 200 {
		t.Errorf("another port: %d", res.StatusCode)
	}
	for n, want := range []int{404, 404, 404, 429} {
		if res, _ := r.send(t, "GET", "/latest", headers(netA, "10.0.0.99"), nil); res.StatusCode != want {
			t.Errorf("miss %d: %d", n, res.StatusCode)
		}
	}
	r.agent.Update(newSlice(netB).Slice)
	if n := r.agent.gate.buckets.Len(); n != 0 {
		t.Errorf("%d buckets of ports that are gone", n)
	}
}

func TestConcurrencyPerInstanceAndInAll(t *testing.T) {
	entered, release := make(chan bool, 8), make(chan bool)
	c := ownUID()
	c.Limits = Limits{InFlight: 3, PerInstance: 2}
	r := newRig(t, c, func(http.ResponseWriter, *http.Request) { entered <- true; <-release })
	var waiting sync.WaitGroup
	start := func(addr string) {
		waiting.Go(func() {
			if res, _ := r.send(t, "GET", "/latest", headers(netA, addr), nil); res.StatusCode != 200 {
				t.Errorf("held request: %d", res.StatusCode)
			}
		})
		<-entered
	}
	start("10.0.0.5")
	start("10.0.0.5")
	if res, _ := r.send(t, "GET", "/latest", headers(netA, "10.0.0.5"), nil); res.StatusCode != 429 {
		t.Errorf("third of one instance: %d", res.StatusCode)
	}
	start("10.0.0.6")
	if res, _ := r.send(t, "GET", "/latest", headers(netB, "10.0.1.5"), nil); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("fourth of all: %d", res.StatusCode)
	}
	close(release)
	waiting.Wait()
	if len(r.agent.gate.running) != 0 || len(r.agent.gate.slots) != 0 {
		t.Error("requests that ended are still counted")
	}
}

func TestPeersThatAreHeard(t *testing.T) {
	other, further, any := ownUID(), ownUID(), ownUID()
	other.ProxyUID++
	further.ProxyUID++
	further.PeerUIDs = []uint32{other.ProxyUID + 1, uint32(os.Getuid())}
	any.ProxyUID++
	any.AnyPeer = true
	for name, c := range map[string]struct {
		Config
		heard bool
	}{"another": {other, false}, "a further one": {further, true}, "any": {any, true}} {
		r := newRig(t, c.Config, func(http.ResponseWriter, *http.Request) {})
		req, _ := http.NewRequest("GET", "http://agent/latest", nil)
		req.Header = headers(netA, "10.0.0.5")
		res, err := r.client.Do(req)
		if (err == nil) != c.heard {
			t.Errorf("%s: %v, %v", name, res, err)
		}
		r.stop()
	}
}

func TestTargetsThatAreNoPath(t *testing.T) {
	r := newRig(t, ownUID(), func(http.ResponseWriter, *http.Request) { t.Error("the service was called") })
	for _, target := range []string{"OPTIONS *", "CONNECT 10.0.0.1:80"} {
		conn, err := net.Dial("unix", r.socket)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.0.0.5\r\nX-Neutron-Network-ID: %s\r\n\r\n", target, netA)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.StatusCode != 400 {
			t.Errorf("%s: %v, %v", target, res, err)
		}
		conn.Close()
	}
}

func TestLogLine(t *testing.T) {
	r := newRig(t, ownUID(), func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "abc") })
	h := headers(netA, "10.0.0.5")
	h.Set(cloud.HeaderTraceParent, someParent)
	r.send(t, "GET", "/latest", h, nil)
	r.stop()
	var line map[string]any
	if err := json.Unmarshal(r.log.b.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	delete(line, "time")
	want := map[string]any{
		"level": "INFO", "msg": "metadata request forwarded", "trace_id": "0af7651916cd43dd8448eb211c80319c",
		"server_id": "one", "port_id": "a1", "router_id": "", "network_id": string(netA), "client": "10.0.0.5",
		"method": "GET", "path": "/latest", "status": 200.0, "bytes": 3.0,
	}
	if diff := cmp.Diff(want, line); diff != "" {
		t.Error(diff)
	}
	if log := r.log.b.String(); strings.Contains(log, testSecret) || strings.Contains(log, cloud.Signature(testSecret, "one")) {
		t.Errorf("the log tells a secret: %s", log)
	}
}

func TestNewTraceParent(t *testing.T) {
	for _, bad := range []string{"", "00-x", strings.ToUpper(someParent), someParent + "0"} {
		header, id := traceParent(bad)
		if again, sameID := traceParent(header); again != header || sameID != id || len(id) != 32 {
			t.Errorf("%q gives %q, %q", bad, header, id)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, c := range map[string]Config{
		"no secret": {Services: []string{"127.0.0.1:8775"}}, "no port": {Services: []string{"127.0.0.1:1", "127.0.0.1"}, Secret: "s"}, "nothing": {},
		"no service": {Secret: "s"},
	} {
		if _, err := New(c, nil); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestLogIsBounded: whatever an instance asks, and however often, its lines end.
func TestLogIsBounded(t *testing.T) {
	var log bytes.Buffer
	a, err := New(Config{Services: []string{"127.0.0.1:1"}, Secret: "s", Limits: Limits{Rate: 0.001, Burst: 1}}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for range 10 * logBurst {
		a.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(strings.Repeat("A", 7000), "/", nil))
	}
	if lines, size := bytes.Count(log.Bytes(), []byte("\n")), log.Len(); lines > logBurst+10 || size > 1000*(logBurst+10) {
		t.Errorf("%d lines, %d bytes", lines, size)
	}
}

// Connections go to the replicas in turn, past those that are away.
func TestReplicas(t *testing.T) {
	var asked sync.Map
	start := func() string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Store(r.Context().Value(http.LocalAddrContextKey).(net.Addr).String(), true)
			w.Header().Set("Connection", "close")
		}))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	one, two := start(), start()
	unready := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	t.Cleanup(unready.Close)
	c := ownUID()
	c.Services, c.Secret = []string{one, gone.Addr().String(), unready.Listener.Addr().String(), two}, testSecret
	r := startRig(t, c)
	r.agent.Update(twoRooms().Slice)
	for range len(c.Services) {
		if res, body := r.send(t, "GET", "/latest", headers(netA, "10.0.0.5"), nil); res.StatusCode != http.StatusOK {
			t.Errorf("%d %s", res.StatusCode, body)
		}
	}
	for _, address := range []string{one, two} {
		if _, was := asked.Load(address); !was {
			t.Errorf("%s was not asked", address)
		}
	}
}
