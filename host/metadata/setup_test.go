package metadata

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"imprint/base/openstack"
	"imprint/host/cloud"
	"imprint/host/config"
)

func novaConf(t *testing.T, text string) config.Nova {
	t.Helper()
	f, err := config.ParseINI(text)
	if err != nil {
		t.Fatal(err)
	}
	n, err := config.ReadNova(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTrustOf(t *testing.T) {
	for text, want := range map[string]Trust{
		"": TrustAddress, "[neutron]\nservice_metadata_proxy = true": TrustSigned,
		"[neutron]\nservice_metadata_proxy = true\n[imprint]\nmetadata_trust = provider": TrustProvider,
		"[imprint]\nmetadata_trust = signed":                                             TrustSigned,
	} {
		if got := TrustOf(novaConf(t, text)); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	if s := SiteOf(novaConf(t, "[imprint]\nnetwork_data = complete\n[DEFAULT]\nflat_injected = yes")); !s.Addresses || !s.CompleteNetwork || !s.FlatInjected || s.Domain != "novalocal" {
		t.Errorf("%+v", s)
	}
	if _, err := FromNova(novaConf(t, "[neutron]\nservice_metadata_proxy = true"), NewFixture(), nil, nil); err == nil {
		t.Error("a proxy is believed without a secret")
	}
}

// certificate writes a certificate for 127.0.0.1 and its key.
func certificate(t *testing.T, dir string) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	pair := s.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pool = x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return write("cert", "CERTIFICATE", pair.Certificate[0]), write("key", "PRIVATE KEY", der), pool
}

// TestFromNova serves a whole nova.conf: TLS, vendor data of both kinds,
// metrics, the access log.
func TestFromNova(t *testing.T) {
	dir := t.TempDir()
	cert, key, pool := certificate(t, dir)
	vendor := filepath.Join(dir, "vendor.json")
	if err := os.WriteFile(vendor, []byte(`{"site": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	metrics := loopback(t)
	metrics.Close()
	n := novaConf(t, "[DEFAULT]\nenabled_ssl_apis = metadata\n[wsgi]\nssl_cert_file = "+cert+"\nssl_key_file = "+key+
		"\n[api]\nvendordata_providers = StaticJSON,DynamicJSON\nvendordata_jsonfile_path = "+vendor+
		"\nvendordata_dynamic_targets = peer@"+greeter(t, nil)+
		"\n[neutron]\nservice_metadata_proxy = true\nmetadata_proxy_shared_secret = "+goldenSecret+
		"\n[imprint]\nmetrics_listen = "+metrics.Addr().String()+"\n")
	var log bytes.Buffer
	f := NewFixture(&openstack.Instance{UUID: string(someID), ProjectID: "p", Hostname: "h.novalocal"})
	s, err := FromNova(n, f, f, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	l := loopback(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	fetch := func(url string, h http.Header) string {
		t.Helper()
		r, err := http.NewRequest("GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = h
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	h := signed("/").Header
	h.Set(cloud.HeaderTraceParent, cloud.TraceParent("0af7651916cd43dd8448eb211c80319c"))
	const want = `{"static": {"site": 1}, "peer": {"greeting": "from the peer", "hostname": "h", "n": [1, 2, 3]}}`
	if got := fetch("https://"+l.Addr().String()+"/openstack/latest/vendor_data2.json", h); got != want {
		t.Errorf("vendor data: %s", got)
	}
	fetch("https://"+l.Addr().String()+"/latest/junk", h)
	fetch("https://"+l.Addr().String()+"/latest/", http.Header{})
	counted := fetch("http://"+metrics.Addr().String()+"/metrics", nil)
	for _, line := range []string{
		`imprint_metadata_requests_total{path="vendor_data2.json",status="200"} 1`,
		`imprint_metadata_requests_total{path="ec2",status="404"} 1`,
		`imprint_metadata_requests_total{path="ec2",status="400"} 1`,
		`imprint_metadata_refusals_total{reason="missing header"} 1`,
		`imprint_metadata_refusals_total{reason="no document"} 1`,
		`imprint_metadata_vendor_fetches_total{result="ok",target="peer"} 1`,
		`imprint_metadata_request_seconds_count 3`,
	} {
		if !strings.Contains(counted, line+"\n") {
			t.Errorf("the metrics have no %s:\n%s", line, counted)
		}
	}
	client.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := log.String(); strings.Count(got, "metadata request") != 3 || !strings.Contains(got, "trace_id=0af7651916cd43dd8448eb211c80319c server_id="+string(someID)) {
		t.Errorf("access log:\n%s", got)
	}
}

// TestMetricsOfAnIndex: what is watched of an index is there.
func TestMetricsOfAnIndex(t *testing.T) {
	m := cloud.NewModel()
	m.Apply(cloud.Change{Record: &cloud.Server{ServerID: someID}})
	x := NewIndex(Site{}, newFakeNouns(m), &fakeBlobs{}, nil)
	x.refresh()
	metrics := NewMetrics()
	metrics.Watch(x)
	w := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range []string{"imprint_metadata_servers 1\n", "imprint_metadata_feed_lag_seconds 0\n", "imprint_metadata_cache_bytes 0\n"} {
		if !strings.Contains(w.Body.String(), line) {
			t.Errorf("no %q in\n%s", line, w.Body)
		}
	}
}

func TestPathClasses(t *testing.T) {
	for path, want := range map[string]string{
		"/": "root", "/latest/meta-data/x": "ec2", "/openstack": "openstack", "/openstackx": "ec2",
		"/openstack/latest/meta_data.json": "meta_data.json", "/openstack/content/0000": "content", "/openstack/a/b": "openstack",
	} {
		if got := pathClass(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		} else if !slices.Contains(pathClasses(), got) {
			t.Errorf("%s is not listed", got)
		}
	}
}
