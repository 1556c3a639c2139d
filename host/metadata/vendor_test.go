package metadata

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"imprint/base/openstack"
	"imprint/host/cloud"
	"imprint/host/config"
)

// scripted is a target whose next answers are given one by one.
type scripted struct {
	mu     sync.Mutex
	asked  int
	answer func(w http.ResponseWriter, r *http.Request)
}

func (s *scripted) set(f func(http.ResponseWriter, *http.Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked++
	f := s.answer
	s.mu.Unlock()
	f(w, r)
}

func (s *scripted) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func says(text, cacheControl string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		if cacheControl != "" {
			w.Header().Set("Cache-Control", cacheControl)
		}
		io.WriteString(w, text)
	}
}

// vendorClock is a Vendor with one scripted target and a clock of its own.
func vendorClock(t *testing.T, o VendorOptions) (*Vendor, *scripted, func(time.Duration)) {
	s := &scripted{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	o.Targets = []Target{{"t", server.URL}}
	v := NewVendor(o)
	t.Cleanup(v.Close)
	var passed atomic.Int64
	start := time.Now()
	v.now = func() time.Time { return start.Add(time.Duration(passed.Load())) }
	return v, s, func(d time.Duration) { passed.Add(int64(d)) }
}

func told(t *testing.T, v *Vendor, id string) string {
	t.Helper()
	answers, err := v.Answers(t.Context(), &openstack.Instance{UUID: id})
	if err != nil {
		return "error"
	}
	return string(openstack.NoVendorData().Encode2(answers...))
}

func TestVendorAnswersAreKept(t *testing.T) {
	v, s, pass := vendorClock(t, VendorOptions{Lifetime: 15 * time.Second})
	step := func(what, want string, asked int) {
		t.Helper()
		if got := told(t, v, "i"); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
		if got := s.count(); got != asked {
			t.Errorf("%s: asked %d times, want %d", what, got, asked)
		}
	}
	s.set(says("1", ""))
	step("first", `{"t": 1}`, 1)
	s.set(says("2", "public, max-age=60"))
	step("kept", `{"t": 1}`, 1)
	pass(15 * time.Second)
	step("after the lifetime", `{"t": 2}`, 2)
	pass(59 * time.Second)
	step("max-age", `{"t": 2}`, 2)
	s.set(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	pass(time.Second)
	step("a failure leaves the older one", `{"t": 2}`, 3)
	step("and the target alone for a while", `{"t": 2}`, 3)
	pass(15 * time.Second)
	s.set(says("not JSON", ""))
	step("junk", `{"t": 2}`, 4)
	pass(15 * time.Second)
	s.set(says("", "no-cache"))
	step("nothing is the empty object", `{"t": {}}`, 5)
	s.set(says("6", "no-store"))
	step("no-cache", `{"t": 6}`, 6)
	s.set(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) })
	step("no-store is not kept", `{"t": {}}`, 7)
	pass(15 * time.Second)
	s.set(says("8", "no-cache, no-store, must-revalidate"))
	step("both", `{"t": 8}`, 8)
	s.set(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) })
	step("no-store after no-cache is not kept either", `{"t": {}}`, 9)
}

// Many instances that boot at once do not use up each other's time: a target
// that answers when all have asked is asked by all.
func TestManyInstancesAskATarget(t *testing.T) {
	const many = 400
	v, s, _ := vendorClock(t, VendorOptions{ConnectTimeout: 3 * time.Second, ReadTimeout: 3 * time.Second})
	all := make(chan struct{})
	answer := sync.OnceFunc(func() { close(all) })
	s.set(func(w http.ResponseWriter, r *http.Request) {
		if s.count() == many {
			answer()
		}
		<-all
		says("1", "")(w, r)
	})
	var asking sync.WaitGroup
	for i := range many {
		asking.Go(func() {
			if got := told(t, v, strconv.Itoa(i)); got != `{"t": 1}` {
				t.Errorf("instance %d: %s", i, got)
			}
		})
	}
	asking.Wait()
	answer()
}

// A target's URL may have a key in it.
func TestVendorFailureHidesTheURL(t *testing.T) {
	var log bytes.Buffer
	v := NewVendor(VendorOptions{
		Targets: []Target{{"t", "http://user:hunter2@127.0.0.1:1/?key=s3cret"}},
		Log:     slog.New(slog.NewTextHandler(&log, nil)),
	})
	told(t, v, "i")
	v.Close()
	if text := log.String(); !strings.Contains(text, "refused") || strings.Contains(text, "hunter2") || strings.Contains(text, "s3cret") {
		t.Errorf("log: %s", text)
	}
}

// An answer that waits for a target is written all the same.
func TestAnswersOutwaitTargets(t *testing.T) {
	v := NewVendor(VendorOptions{ConnectTimeout: time.Minute, ReadTimeout: time.Hour})
	defer v.Close()
	s, err := New(Options{Instances: NewFixture(), Trust: TrustAddress, Vendor: v})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.server().WriteTimeout; got < time.Hour+2*time.Minute {
		t.Errorf("an answer is cut off after %v", got)
	}
}

func TestVendorFailureFatal(t *testing.T) {
	v, s, pass := vendorClock(t, VendorOptions{Lifetime: time.Second, FailureFatal: true})
	s.set(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	if got := told(t, v, "i"); got != "error" {
		t.Errorf("a failure: %s", got)
	}
	pass(time.Second)
	s.set(says("1", ""))
	if got := told(t, v, "i"); got != `{"t": 1}` {
		t.Errorf("an answer: %s", got)
	}
	pass(time.Second)
	s.set(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) })
	if got := told(t, v, "i"); got != `{"t": 1}` {
		t.Errorf("an older answer: %s", got)
	}
	f := NewFixture(&openstack.Instance{UUID: string(someID), ProjectID: "p"})
	service, err := New(Options{Instances: f, Secret: goldenSecret, Vendor: v})
	if err != nil {
		t.Fatal(err)
	}
	if w := get(service, "/openstack/latest/vendor_data2.json"); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("over HTTP: %d", w.Code)
	}
}

// TestOneVendorRequestAtATime: many askers for one instance share a request.
func TestOneVendorRequestAtATime(t *testing.T) {
	v, s, _ := vendorClock(t, VendorOptions{Lifetime: time.Minute})
	arrived, release := make(chan struct{}), make(chan struct{})
	s.set(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived) // a second request would panic here
		<-release
		io.WriteString(w, "1")
	})
	var askers sync.WaitGroup
	for range 20 {
		askers.Go(func() {
			if got := told(t, v, "i"); got != `{"t": 1}` {
				t.Errorf("an asker got %s", got)
			}
		})
	}
	<-arrived
	close(release)
	askers.Wait()
}

// TestSlowTargetDelaysItsOwnOnly: while a target sleeps for one instance, the
// requests of others, other documents of the same one, and other instances'
// vendor data go on as fast as before.
func TestSlowTargetDelaysItsOwnOnly(t *testing.T) {
	v, s, _ := vendorClock(t, VendorOptions{Lifetime: time.Minute, ConnectTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second})
	release := make(chan struct{})
	asleep := make(chan struct{})
	s.set(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), string(someID)) {
			close(asleep)
			<-release
		}
		io.WriteString(w, "1")
	})
	f := NewFixture(&openstack.Instance{UUID: string(someID), ProjectID: "p"}, &openstack.Instance{UUID: "other", ProjectID: "p"})
	url := serve(t, Options{Instances: f, Vendor: v})
	other := headersOf(map[string]string{"X-Instance-ID": "other", "X-Tenant-ID": "p", "X-Instance-ID-Signature": cloud.Signature(goldenSecret, "other")})
	mine := signed("/").Header
	p99 := func() time.Duration {
		var took []time.Duration
		for i := range 400 {
			path, h := "/openstack/latest/meta_data.json", other
			switch i % 3 {
			case 1:
				path = "/openstack/latest/vendor_data2.json"
			case 2:
				h = mine
			}
			begin := time.Now()
			if got := ask(t, url, "GET", path, h, ""); got.Status != "200 OK" {
				t.Fatalf("%s: %s", path, got.Status)
			}
			took = append(took, time.Since(begin))
		}
		slices.Sort(took)
		return took[len(took)*99/100]
	}
	before := p99()
	var slow sync.WaitGroup
	slow.Go(func() { ask(t, url, "GET", "/openstack/latest/vendor_data2.json", mine, "") })
	<-asleep
	during := p99()
	close(release)
	slow.Wait()
	t.Logf("p99 before %v, while a target sleeps %v", before, during)
	if during > 5*before+20*time.Millisecond {
		t.Errorf("p99 was %v, is %v while a target sleeps for another instance", before, during)
	}
}

// TestVendorBudget: who asks waits no longer than the timeouts.
func TestVendorBudget(t *testing.T) {
	v, s, _ := vendorClock(t, VendorOptions{Lifetime: time.Minute, ConnectTimeout: 50 * time.Millisecond, ReadTimeout: 50 * time.Millisecond})
	release := make(chan struct{})
	s.set(func(http.ResponseWriter, *http.Request) { <-release })
	begin := time.Now()
	if got := told(t, v, "i"); got != `{"t": {}}` {
		t.Errorf("got %s", got)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	close(release)
}

func TestVendorToken(t *testing.T) {
	var logins atomic.Int32
	keystone := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q map[string]any
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || r.URL.Path != "/v3/auth/tokens" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		w.Header().Set("X-Subject-Token", "token-"+string('0'+byte(logins.Add(1))))
		w.WriteHeader(http.StatusCreated)
		json.NewEncoder(w).Encode(map[string]any{"token": map[string]any{"expires_at": time.Now().Add(time.Hour)}})
	}))
	t.Cleanup(keystone.Close)
	v, s, pass := vendorClock(t, VendorOptions{Lifetime: time.Second, Tokens: &Keystone{AuthURL: keystone.URL + "/v3", Username: "nova", Password: "pw"}})
	s.set(func(w http.ResponseWriter, r *http.Request) {
		if token := r.Header.Get("X-Auth-Token"); token != "token-2" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		io.WriteString(w, "1")
	})
	if got := told(t, v, "i"); got != `{"t": 1}` || s.count() != 2 {
		t.Errorf("a token that is refused is renewed: %s after %d requests", got, s.count())
	}
	pass(time.Second)
	if told(t, v, "i"); logins.Load() != 2 {
		t.Errorf("%d logins: a token is kept", logins.Load())
	}
}

func TestVendorTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(says("1", "")))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{ca: `{"t": 1}`, "": `{"t": {}}`} {
		n := config.Nova{VendorProviders: []string{"DynamicJSON"}, VendorTargets: []string{"t@" + server.URL, "without a name"}, VendorCA: file}
		v, err := vendorOf(n, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := told(t, v, "i"); got != want {
			t.Errorf("authority %q: %s, want %s", file, got, want)
		}
		v.Close()
	}
}

func TestVendorCloses(t *testing.T) {
	v, s, _ := vendorClock(t, VendorOptions{})
	arrived := make(chan struct{})
	s.set(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // so that the server sees the client leave
		close(arrived)
		<-r.Context().Done()
	})
	ended := make(chan string)
	go func() { ended <- told(t, v, "i") }()
	<-arrived
	v.Close()
	if got := <-ended; got != `{"t": {}}` {
		t.Errorf("got %s", got)
	}
	if got := told(t, v, "i"); got != `{"t": {}}` {
		t.Errorf("after the end: %s", got)
	}
}

func TestVendorFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vendor.json")
	var log strings.Builder
	var got []string
	f := &VendorFile{Path: path, Log: slog.New(slog.NewTextHandler(&log, nil)), Set: func(v openstack.VendorData) { got = append(got, string(v.Encode())) }}
	at := time.Unix(1e9, 0)
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Second)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	f.look() // it is not there
	write(`{"a":1}`)
	f.look()
	f.look()
	write(`{"a":`)
	f.look()
	f.look()
	write(`{"a":2}`)
	f.look()
	if want := []string{`{"a": 1}`, `{"a": 2}`}; !slices.Equal(got, want) {
		t.Errorf("data %q, want %q", got, want)
	}
	if n := strings.Count(log.String(), "kept as it was"); n != 2 {
		t.Errorf("%d complaints, want one for each broken version:\n%s", n, log.String())
	}
}

func TestTargets(t *testing.T) {
	if got, err := ParseTarget("a@http://u@h/x"); err != nil || got != (Target{"a", "http://u@h/x"}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, s := range []string{"", "a", "@u", "a@"} {
		if _, err := ParseTarget(s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
}

var errDown = errors.New("down")

func TestNoTokenNoRequest(t *testing.T) {
	v, s, _ := vendorClock(t, VendorOptions{Tokens: noToken{}})
	s.set(says("1", ""))
	if got := told(t, v, "i"); got != `{"t": {}}` || s.count() != 0 {
		t.Errorf("%s after %d requests", got, s.count())
	}
}

type noToken struct{}

func (noToken) Token(context.Context, bool) (string, error) { return "", errDown }
