package metadata

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imprint/base/openstack"
	"imprint/host/cloud"
)

const someID = cloud.ServerID("cc8f7f24-498d-4e21-a549-f3771c3e5189")

func someService(t *testing.T, log *slog.Logger) *Service {
	t.Helper()
	s, err := NewService(NewFixture(&openstack.Instance{UUID: string(someID), ProjectID: "p", Hostname: "c1"}), goldenSecret, log)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func signed(path string) *http.Request {
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set(cloud.HeaderInstanceID, string(someID))
	r.Header.Set(cloud.HeaderTenantID, "p")
	r.Header.Set(cloud.HeaderInstanceSignature, cloud.Signature(goldenSecret, someID))
	return r
}

func TestDoubledHeadersAreNobodys(t *testing.T) {
	for name, want := range map[string]int{
		cloud.HeaderInstanceID:        http.StatusForbidden,
		cloud.HeaderInstanceSignature: http.StatusForbidden,
		cloud.HeaderTenantID:          http.StatusNotFound,
		cloud.HeaderForwardedFor:      http.StatusOK,
	} {
		right := signed("/").Header.Get(name)
		for _, second := range []string{"", "x", right} {
			r := signed("/latest/meta-data/hostname")
			r.Header.Set(name, right)
			r.Header.Add(name, second)
			w := httptest.NewRecorder()
			someService(t, nil).ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%s twice (%q): %d, want %d", name, second, w.Code, want)
			}
		}
	}
}

func TestUnderscoresAreNoDashes(t *testing.T) {
	r := httptest.NewRequest("GET", "/latest", nil)
	for _, name := range []string{"X_Instance_ID", "X_Tenant_ID", "X_Instance_ID_Signature"} {
		r.Header[name] = []string{"x"}
	}
	w := httptest.NewRecorder()
	someService(t, nil).ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest {
		t.Errorf("status %d", w.Code)
	}
}

func TestUnavailableSaysWhen(t *testing.T) {
	x := NewIndex(Site{}, newFakeNouns(cloud.NewModel()), &fakeBlobs{}, nil)
	s, err := NewService(x, goldenSecret, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, signed("/latest"))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "not loaded") {
		t.Errorf("%d, Retry-After %q: %s", w.Code, w.Header().Get("Retry-After"), w.Body)
	}
}

func TestNoServiceWithoutSecret(t *testing.T) {
	if _, err := NewService(NewFixture(), "", nil); err == nil {
		t.Error("a service without a secret")
	}
}

func TestLogTellsWhoAndHidesSecrets(t *testing.T) {
	var out bytes.Buffer
	s := someService(t, slog.New(slog.NewJSONHandler(&out, nil)))
	r := signed("/latest/meta-data/hostname")
	r.Header.Set(cloud.HeaderTraceParent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	s.ServeHTTP(httptest.NewRecorder(), r)
	s.access.flush()
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	delete(line, "time")
	delete(line, "microseconds")
	want := map[string]any{
		"level": "INFO", "msg": "metadata request", "trace_id": "0af7651916cd43dd8448eb211c80319c",
		"server_id": string(someID), "method": "GET", "path": "/latest/meta-data/hostname", "status": 200.0, "bytes": 2.0,
	}
	if diff := cmp.Diff(want, line); diff != "" {
		t.Error(diff)
	}
	bad := signed("/" + strings.Repeat("x", 10000))
	bad.Header.Set(cloud.HeaderInstanceSignature, strings.Repeat("0", 64))
	s.ServeHTTP(httptest.NewRecorder(), bad)
	s.access.flush()
	for _, secret := range []string{goldenSecret, cloud.Signature(goldenSecret, someID), strings.Repeat("0", 64), strings.Repeat("x", maxLogPath+1)} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("the log holds %.40q", secret)
		}
	}
	if strings.Count(out.String(), string(someID)) != 1 {
		t.Error("a server that was not proven is in the log")
	}
}

func TestPreferred(t *testing.T) {
	for accept, want := range map[string]string{
		"": "", "*/*": "text/html", "text/*": "text/html", "application/xml": "", "text/html;q=0": "",
		"application/json, text/html;q=0.9": "application/json", "application/*, */*;q=0.1": "application/json",
		"application/json;q=0.5,text/html;q=0.5": "text/html", "*/*;q=0.8, text/html;q=0.1": "application/json",
		"TEXT/HTML": "text/html", "text/html;level=1;q=x": "", "text/html;q=NaN": "", ",;,": "",
	} {
		if got := preferred(accept); got != want {
			t.Errorf("%q: %q, want %q", accept, got, want)
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- someService(t, nil).Run(ctx, l) }()
	res, err := http.Get("http://" + l.Addr().String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func FuzzService(f *testing.F) {
	f.Add("GET", "/openstack/latest/meta_data.json", "text/html", "10.0.0.1", "p", true)
	f.Add("POST", "/openstack/latest/password", "*/*;q=0.1", "::ffff:1.2.3.4", "p", true)
	f.Add("BREW", "//ec2/../latest/%2e%2e", "a/b;q=9", "junk", "", false)
	s, err := NewService(NewFixture(&openstack.Instance{UUID: string(someID), ProjectID: "p"}), goldenSecret, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, path, accept, peer, tenant string, sign bool) {
		r := signed("/")
		r.Method, r.URL.Path = method, path
		r.Header.Set("Accept", accept)
		r.Header.Set(cloud.HeaderForwardedFor, peer)
		r.Header.Set(cloud.HeaderTenantID, tenant)
		if !sign {
			r.Header.Set(cloud.HeaderInstanceSignature, tenant)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code >= 500 || w.Header().Get("Content-Type") == "" {
			t.Errorf("%d %q", w.Code, w.Header().Get("Content-Type"))
		}
		if w.Code == 200 && (!sign || tenant != "p") && !openstack.IsRoot(path) && path != "/healthcheck" {
			t.Errorf("%q is answered to nobody", path)
		}
	})
}

func BenchmarkMetaData(b *testing.B) {
	s, err := NewService(NewFixture(&openstack.Instance{UUID: string(someID), ProjectID: "p"}), goldenSecret, nil)
	if err != nil {
		b.Fatal(err)
	}
	r := signed("/openstack/latest/meta_data.json")
	b.ReportAllocs()
	for b.Loop() {
		s.ServeHTTP(httptest.NewRecorder(), r)
	}
}

// TestFewAllocations: a request to the handler takes a handful of allocations,
// its line in the log included.
func TestFewAllocations(t *testing.T) {
	s := someService(t, slog.New(slog.NewTextHandler(io.Discard, nil)))
	for _, path := range []string{"/latest/meta-data/hostname", "/openstack/latest/meta_data.json", "/openstack/latest/network_data.json"} {
		r := signed(path)
		var w nowhere
		if n := testing.AllocsPerRun(1000, func() { s.ServeHTTP(&w, r) }); n > 6 && !raced { // the detector lets pools forget
			t.Errorf("%s: %.0f allocations", path, n)
		}
	}
}
