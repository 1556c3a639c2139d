package metadata

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"imprint/base/openstack"
	"imprint/host/cloud"
)

// twoNetworks are instances on two networks that share an address; the first
// is connected to the provider lb.
func twoNetworks() *Fixture {
	instance := func(id, addr string, providers ...string) *openstack.Instance {
		return &openstack.Instance{UUID: id, ProjectID: "p", Hostname: id, Ports: []openstack.Port{{ID: "port-" + id, Subnets: []openstack.Subnet{{
			CIDR: netip.MustParsePrefix("10.0.0.0/24"), Addrs: []netip.Addr{netip.MustParseAddr(addr)}, Providers: providers}}}}}
	}
	return NewFixture(instance("a", "10.0.0.5", "lb"), instance("b", "10.0.0.6", "lb"), instance("c", "10.0.0.5"))
}

// hostnameFrom asks for the hostname and returns the status and it.
func hostnameFrom(t *testing.T, s *Service, remote string, headers [][2]string) (int, string) {
	t.Helper()
	r := httptest.NewRequest("GET", "/latest/meta-data/hostname", nil)
	r.RemoteAddr = remote
	for _, h := range headers {
		r.Header.Add(h[0], h[1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code == http.StatusOK {
		return w.Code, w.Body.String()
	}
	return w.Code, ""
}

func TestProviderMode(t *testing.T) {
	var log bytes.Buffer
	s, err := New(Options{Instances: twoNetworks(), Trust: TrustProvider, Secret: goldenSecret, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	right := cloud.Signature(goldenSecret, "lb")
	const (
		forwarded = "X-Forwarded-For"
		provider  = "X-Metadata-Provider"
		signature = "X-Metadata-Provider-Signature"
	)
	for name, c := range map[string]struct {
		headers [][2]string
		status  int
		host    string
	}{
		"right":                  {[][2]string{{forwarded, "10.0.0.5"}, {provider, "lb"}, {signature, right}}, 200, "a"},
		"mapped address":         {[][2]string{{forwarded, "::ffff:10.0.0.6"}, {provider, "lb"}, {signature, right}}, 200, "b"},
		"no address":             {[][2]string{{provider, "lb"}, {signature, right}}, 400, ""},
		"no provider":            {[][2]string{{forwarded, "10.0.0.5"}, {signature, right}}, 400, ""},
		"no signature":           {[][2]string{{forwarded, "10.0.0.5"}, {provider, "lb"}}, 403, ""},
		"empty address":          {[][2]string{{forwarded, ""}, {provider, "lb"}, {signature, right}}, 400, ""},
		"empty provider":         {[][2]string{{forwarded, "10.0.0.5"}, {provider, ""}, {signature, right}}, 403, ""},
		"empty signature":        {[][2]string{{forwarded, "10.0.0.5"}, {provider, "lb"}, {signature, ""}}, 403, ""},
		"wrong signature":        {[][2]string{{forwarded, "10.0.0.5"}, {provider, "lb"}, {signature, cloud.Signature("x", "lb")}}, 403, ""},
		"longer signature":       {[][2]string{{forwarded, "10.0.0.5"}, {provider, "lb"}, {signature, right + "0"}}, 403, ""},
		"upper case":             {[][2]string{{forwarded, "10.0.0.5"}, {provider, "lb"}, {signature, strings.ToUpper(right)}}, 403, ""},
		"doubled provider":       {[][2]string{{forwarded, "10.0.0.5"}, {provider, "lb"}, {provider, "lb"}, {signature, right}}, 403, ""},
		"doubled signature":      {[][2]string{{forwarded, "10.0.0.5"}, {provider, "lb"}, {signature, right}, {signature, right}}, 403, ""},
		"doubled address":        {[][2]string{{forwarded, "10.0.0.5"}, {forwarded, "10.0.0.6"}, {provider, "lb"}, {signature, right}}, 400, ""},
		"several addresses":      {[][2]string{{forwarded, "10.0.0.5, 10.0.0.6"}, {provider, "lb"}, {signature, right}}, 400, ""},
		"nobody's address":       {[][2]string{{forwarded, "10.0.0.9"}, {provider, "lb"}, {signature, right}}, 400, ""},
		"unknown provider":       {[][2]string{{forwarded, "10.0.0.5"}, {provider, "other"}, {signature, cloud.Signature(goldenSecret, "other")}}, 400, ""},
		"an agent's signature":   {[][2]string{{"X-Instance-ID", "a"}, {"X-Tenant-ID", "p"}, {"X-Instance-ID-Signature", cloud.Signature(goldenSecret, "a")}}, 400, ""},
		"the address asked from": {nil, 400, ""},
	} {
		status, host := hostnameFrom(t, s, "10.0.0.5:1234", c.headers)
		if status != c.status || host != c.host {
			t.Errorf("%s: %d %q, want %d %q", name, status, host, c.status, c.host)
		}
	}
	s.access.flush()
	for _, hidden := range []string{goldenSecret, right, cloud.Signature("x", "lb")} {
		if strings.Contains(log.String(), hidden) {
			t.Errorf("the log has %.20q", hidden)
		}
	}
}

func TestAddressMode(t *testing.T) {
	f := twoNetworks()
	direct, err := New(Options{Instances: f, Trust: TrustAddress})
	if err != nil {
		t.Fatal(err)
	}
	forwarded, err := New(Options{Instances: f, Trust: TrustAddress, ForwardedFor: true})
	if err != nil {
		t.Fatal(err)
	}
	const header = "X-Forwarded-For"
	for name, c := range map[string]struct {
		service *Service
		remote  string
		headers [][2]string
		status  int
		host    string
	}{
		"peer":                     {direct, "10.0.0.6:99", nil, 200, "b"},
		"peer in mapped form":      {direct, "[::ffff:10.0.0.6]:99", nil, 200, "b"},
		"header not believed":      {direct, "10.0.0.9:99", [][2]string{{header, "10.0.0.6"}}, 404, ""},
		"header ignored":           {direct, "10.0.0.6:99", [][2]string{{header, "10.0.0.9"}}, 200, "b"},
		"two networks have it":     {direct, "10.0.0.5:99", nil, 404, ""},
		"signed, not in this mode": {direct, "10.0.0.9:99", [][2]string{{"X-Instance-ID", "a"}, {"X-Tenant-ID", "p"}, {"X-Instance-ID-Signature", cloud.Signature("", "a")}}, 404, ""},
		"no address at all":        {direct, "@", nil, 404, ""},
		"header":                   {forwarded, "127.0.0.1:99", [][2]string{{header, "10.0.0.6"}}, 200, "b"},
		"header missing":           {forwarded, "10.0.0.6:99", nil, 200, "b"},
		"header empty":             {forwarded, "10.0.0.6:99", [][2]string{{header, ""}}, 404, ""},
		"header doubled":           {forwarded, "10.0.0.6:99", [][2]string{{header, "10.0.0.6"}, {header, "10.0.0.6"}}, 404, ""},
		"header wrong":             {forwarded, "10.0.0.6:99", [][2]string{{header, "10.0.0.6.1"}}, 404, ""},
	} {
		status, host := hostnameFrom(t, c.service, c.remote, c.headers)
		if status != c.status || host != c.host {
			t.Errorf("%s: %d %q, want %d %q", name, status, host, c.status, c.host)
		}
	}
}

func TestUnknownMode(t *testing.T) {
	if _, err := New(Options{Trust: "header", Secret: "x"}); err == nil {
		t.Error("a mode that is none is taken")
	}
	if _, err := New(Options{Trust: TrustProvider}); err == nil {
		t.Error("a load balancer is believed without a secret")
	}
}

// TestFailingRunHidesSecrets makes everything fail that can, with the log at
// its lowest level.
func TestFailingRunHidesSecrets(t *testing.T) {
	var log bytes.Buffer
	s, err := New(Options{Instances: twoNetworks(), Secret: goldenSecret, Passwords: failing{}, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	s.random = strings.NewReader("")
	right := cloud.Signature(goldenSecret, "a")
	ask := func(method, path, id, tenant, signature, body string) int {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		for _, h := range [][2]string{{"X-Instance-ID", id}, {"X-Tenant-ID", tenant}, {"X-Instance-ID-Signature", signature}} {
			r.Header.Set(h[0], h[1])
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if strings.Contains(w.Body.String(), goldenSecret) || strings.Contains(w.Body.String(), right) {
			t.Errorf("the answer to %s %s shows a secret", method, path)
		}
		return w.Code
	}
	const document = "/openstack/latest/meta_data.json"
	for name, got := range map[string][2]int{
		"wrong signature": {ask("GET", document, "a", "p", strings.Replace(right, right[:8], "deadbeef", 1), ""), 403},
		"wrong tenant":    {ask("GET", document, "a", "other", right, ""), 404},
		"no seed":         {ask("GET", document, "a", "p", right, ""), 503},
		"password":        {ask("POST", "/openstack/latest/password", "a", "p", right, "hunter2"), 503},
		"no document":     {ask("GET", "/nope", "a", "p", right, ""), 404},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %d, want %d", name, got[0], got[1])
		}
	}
	s.access.flush()
	if !strings.Contains(log.String(), "/openstack/latest/password") {
		t.Error("the log has nothing to search")
	}
	for _, hidden := range []string{goldenSecret, right, "deadbeef", "hunter2"} {
		if strings.Contains(log.String(), hidden) {
			t.Errorf("the log has %.20q:\n%s", hidden, log.String())
		}
	}
}
