package metadataagent

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestTLSWithClientCertificate: the service is asked over TLS, knows the agent
// by its certificate, and must show one that the agent trusts.
func TestTLSWithClientCertificate(t *testing.T) {
	seen := 0
	service := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = len(r.TLS.PeerCertificates) }))
	service.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	service.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	service.StartTLS()
	t.Cleanup(service.Close)
	roots := x509.NewCertPool()
	roots.AddCert(service.Certificate())
	own := service.TLS.Certificates[:1] // any will do
	for name, c := range map[string]struct {
		config *tls.Config
		status int
	}{
		"certificate": {&tls.Config{RootCAs: roots, Certificates: own}, 200},
		"none":        {&tls.Config{RootCAs: roots}, 503},
		"not trusted": {&tls.Config{RootCAs: x509.NewCertPool(), Certificates: own}, 503},
		"insecure":    {&tls.Config{InsecureSkipVerify: true, Certificates: own}, 200},
	} {
		seen = 0
		conf := ownUID()
		conf.Services, conf.Secret, conf.TLS = []string{service.Listener.Addr().String()}, testSecret, c.config
		r := startRig(t, conf)
		r.agent.Update(twoRooms().Slice)
		if res, _ := r.send(t, "GET", "/latest", headers(netA, "10.0.0.5"), nil); res.StatusCode != c.status || (seen == 1) != (c.status == 200) {
			t.Errorf("%s: %d, %d certificates", name, res.StatusCode, seen)
		}
		r.stop()
	}
}
