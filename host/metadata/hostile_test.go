package metadata

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"imprint/base/openstack"
	"imprint/host/cloud"
)

// running starts a whole service, listener and limits included, and returns its
// address.
func running(t testing.TB, o Options) string {
	t.Helper()
	o.Secret = goldenSecret
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	l := loopback(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// head is a signed request without its last blank line.
func head(method, path string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nX-Instance-ID: %s\r\nX-Tenant-ID: p\r\nX-Instance-ID-Signature: %s\r\n",
		method, path, someID, cloud.Signature(goldenSecret, someID))
}

func binaryData() []byte {
	b := make([]byte, MaxUserData)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

func hostileFixture() *Fixture {
	return NewFixture(&openstack.Instance{UUID: string(someID), ProjectID: "p", Hostname: "c1", UserData: binaryData()})
}

func dial(t testing.TB, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// answered asks for the host name on a connection of its own.
func answered(t testing.TB, address string) {
	t.Helper()
	c := dial(t, address)
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprint(c, head("GET", "/latest/meta-data/hostname"), "\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("an honest request: %v", err)
	}
	if b, _ := io.ReadAll(res.Body); string(b) != "c1" {
		t.Errorf("an honest request: %s %q", res.Status, b)
	}
}

// descriptors raises the limit of open files as far as it may.
func descriptors(t *testing.T) int {
	t.Helper()
	want := syscall.Rlimit{Cur: 24_000, Max: 24_000}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want); err == nil {
		return int(want.Cur)
	}
	var have syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &have); err != nil {
		t.Fatal(err)
	}
	return int(have.Cur)
}

func TestSlowAndIdleConnections(t *testing.T) {
	address := running(t, Options{Instances: hostileFixture()})
	idle := min(10_000, descriptors(t)/2-500) // both ends are of this process
	for i := range idle {
		c := dial(t, address)
		switch i % 4 { // of the others nothing is heard
		case 0:
			fmt.Fprint(c, "GET / HT")
		case 1:
			fmt.Fprint(c, head("POST", "/openstack/latest/password"), "Content-Length: 5\r\n\r\nx")
		case 2:
			fmt.Fprint(c, head("GET", "/latest"), "\r\n")
		}
	}
	for range 20 {
		answered(t, address)
	}
}

// TestSlowlorisIsCutOff: a request that never ends is ended.
func TestSlowlorisIsCutOff(t *testing.T) {
	s, err := New(Options{Instances: hostileFixture(), Secret: goldenSecret})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(s)
	limit(server.Config)
	if server.Config.ReadHeaderTimeout != headerTimeout || server.Config.ReadTimeout != requestTimeout {
		t.Errorf("limits %v, %v", server.Config.ReadHeaderTimeout, server.Config.ReadTimeout)
	}
	server.Config.ReadHeaderTimeout, server.Config.ReadTimeout = 50*time.Millisecond, 100*time.Millisecond
	server.Start()
	t.Cleanup(server.Close)
	for _, begun := range []string{"", "GET / HTTP/1.1\r\nX: ", head("POST", "/openstack/latest/password") + "Content-Length: 5\r\n\r\nx"} {
		c := dial(t, server.Listener.Addr().String())
		fmt.Fprint(c, begun)
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadAll(c); err != nil {
			t.Errorf("%.20q is not cut off: %v", begun, err)
		}
	}
}

func TestHugeHeaders(t *testing.T) {
	address := running(t, Options{Instances: hostileFixture()})
	for name, request := range map[string]string{
		"one header":   head("GET", "/latest") + "X: " + strings.Repeat("x", 1<<20) + "\r\n\r\n",
		"many headers": head("GET", "/latest") + strings.Repeat("X: x\r\n", 1<<18) + "\r\n",
		"long path":    head("GET", "/"+strings.Repeat("x", 1<<20)) + "\r\n",
	} {
		c := dial(t, address)
		c.SetDeadline(time.Now().Add(10 * time.Second))
		go io.WriteString(c, request) // it may be cut off half way
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil && res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s: %s", name, res.Status)
		}
	}
	answered(t, address)
}

// TestRandomPathsTakeNoMemory asks for a million paths that are not there, and
// for some that are under many names.
func TestRandomPathsTakeNoMemory(t *testing.T) {
	f := hostileFixture()
	s, err := New(Options{Instances: f, Secret: goldenSecret})
	if err != nil {
		t.Fatal(err)
	}
	r := signed("/")
	var w nowhere
	run := func(n int) {
		for i := range n {
			r.URL.Path = fmt.Sprintf("/openstack/%d/%d", rand.Uint64(), i)
			switch i % 4 {
			case 0:
				r.URL.Path = fmt.Sprintf("/latest/meta-data/%d", rand.Uint64())
			case 1:
				r.URL.Path = strings.Repeat("/", 1+i%32) + "openstack" + strings.Repeat("/./", i%16) + "/latest/../latest/meta_data.json"
			}
			s.ServeHTTP(&w, r)
		}
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC() // what the first one found is swept by the second
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	run(1000)
	before := heap()
	paths := 1_000_000
	if raced {
		paths = 20_000 // the detector makes them slow, and finds nothing new
	}
	run(paths)
	after := heap()
	t.Logf("heap %d KiB, after a million paths %d KiB", before>>10, after>>10)
	if after > before+1<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before, after)
	}
	if n, bytes := f.cache.usage(); n != 1 || bytes > 64<<10 {
		t.Errorf("%d instances with %d bytes are kept", n, bytes)
	}
}

// nowhere is a response that is thrown away.
type nowhere struct{ h http.Header }

func (w *nowhere) Header() http.Header {
	if w.h == nil {
		w.h = http.Header{}
	}
	return w.h
}
func (*nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (*nowhere) WriteHeader(int)             {}

func TestPipelined(t *testing.T) {
	c := dial(t, running(t, Options{Instances: hostileFixture()}))
	const n = 100
	go func() {
		for range n {
			io.WriteString(c, head("GET", "/latest/meta-data/hostname")+"\r\n"+head("HEAD", "/latest/user-data")+"\r\n"+head("GET", "/nope")+"\r\n")
		}
	}()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	in := bufio.NewReader(c)
	for range n {
		for _, want := range []string{"GET 200 c1", "HEAD 200 ", "GET 404 404 Not Found"} {
			method, _, _ := strings.Cut(want, " ")
			res, err := http.ReadResponse(in, &http.Request{Method: method})
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(res.Body)
			if got := fmt.Sprintf("%s %d %s", method, res.StatusCode, b); !strings.HasPrefix(got, want) {
				t.Fatalf("%q, want %q", got, want)
			}
		}
	}
}

func TestChunkedAndGzip(t *testing.T) {
	f := hostileFixture()
	address := running(t, Options{Instances: f, Passwords: f})
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write([]byte("secret"))
	z.Close()
	for _, c := range []struct {
		request string
		want    string
	}{
		{head("GET", "/latest/meta-data/hostname") + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "200 c1"},
		{head("GET", "/latest/meta-data/hostname") + "Accept-Encoding: gzip\r\n\r\n", "200 c1"},
		{head("POST", "/openstack/latest/password") + fmt.Sprintf("Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", packed.Len(), packed.String()), "400 "},
		{head("POST", "/openstack/latest/password") + "Transfer-Encoding: chunked\r\n\r\n400\r\n" + strings.Repeat("x", 1024) + "\r\n0\r\n\r\n", "400 "},
		{head("POST", "/openstack/latest/password") + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "200 "},
		{head("GET", "/openstack/latest/password") + "\r\n", "200 abc"},
		{head("POST", "/openstack/latest/password") + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", "4"},
	} {
		conn := dial(t, address)
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		io.WriteString(conn, c.request)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%.200q: %v", c.request, err)
		}
		b, _ := io.ReadAll(res.Body)
		if got := fmt.Sprintf("%d %s", res.StatusCode, b); !strings.HasPrefix(got, c.want) || res.Header.Get("Content-Encoding") != "" {
			t.Errorf("%.200q: %.80q, want %q", c.request, got, c.want)
		}
	}
}

func TestBinaryUserData(t *testing.T) {
	address := running(t, Options{Instances: hostileFixture()})
	for _, path := range []string{"/latest/user-data", "/openstack/2012-08-10/user_data"} {
		r, err := http.NewRequest("GET", "http://"+address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = signed("/").Header
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || !bytes.Equal(got, binaryData()) {
			t.Errorf("%s: %d bytes, %v", path, len(got), err)
		}
	}
}

// TestManyAtOnce is for the race detector: readers of all documents while
// passwords and vendor data change and the cache is far too small.
func TestManyAtOnce(t *testing.T) {
	f := goldenFixture(t)
	f.cache.limit = 8 << 10
	s, err := New(Options{Instances: f, Secret: goldenSecret, Passwords: f})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for _, id := range f.Instances() {
		told, err := f.Told(id)
		if err != nil {
			t.Fatal(err)
		}
		h := headersOf(map[string]string{"X-Instance-ID": string(id), "X-Tenant-ID": told.Instance().ProjectID, "X-Instance-ID-Signature": cloud.Signature(goldenSecret, id)})
		for _, path := range []string{"/openstack/latest/meta_data.json", "/latest/meta-data/", "/openstack/latest/vendor_data2.json"} {
			all.Go(func() {
				for range 50 {
					r := httptest.NewRequest("GET", path, nil)
					r.Header = h
					w := httptest.NewRecorder()
					s.ServeHTTP(w, r)
					if w.Code != 200 {
						t.Errorf("%s %s: %d", id, path, w.Code)
					}
				}
			})
		}
		all.Go(func() {
			f.SetPassword(t.Context(), id, "x")
			f.SetVendorData(openstack.NoVendorData())
		})
	}
	all.Wait()
}
