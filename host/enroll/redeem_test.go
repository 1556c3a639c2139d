package enroll

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"imprint/host/cloud"
)

func TestTokenMisused(t *testing.T) {
	s := newSite(t)
	used := s.token(t, "n1")
	if _, err := Enroll(t.Context(), s.url, used, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	forged := s.token(t, "n1")
	forged.secret[5] ^= 1
	expired, err := s.NewToken("n2", allRoles, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	s.ahead.Store(int64(time.Minute))
	for name, token := range map[string]Token{"used": used, "forged": forged, "expired": expired, "empty": {pin: used.pin}} {
		dir := t.TempDir()
		_, err := Enroll(t.Context(), s.url, token, dir)
		if cloud.KindOf(err) != cloud.Forbidden || !strings.Contains(err.Error(), errToken.Text) {
			t.Errorf("%s: %v", name, err)
		}
		if entries, _ := os.ReadDir(dir); len(entries) != 0 {
			t.Errorf("%s: left behind %v", name, entries)
		}
	}
}

// TestSecretGoesToItsAuthorityOnly: the pin is checked before anything is sent.
func TestSecretGoesToItsAuthorityOnly(t *testing.T) {
	s, other := newSite(t), newSite(t)
	token := s.token(t, "n1")
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { other.requests.Add(1) }))
	defer plain.Close()
	// A service of the right authority that is not the API.
	store := serveTLS(t, s.issue(t, Store).EnrollConfig(s.Revocations()), plain.Config.Handler)
	// A stranger who shows the right authority's public certificate besides his own.
	pair := other.service.present().tls
	pair.Certificate = append(pair.Certificate, s.cert.Raw)
	mix := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{pair}}, plain.Config.Handler)
	for name, url := range map[string]string{"another authority": other.url, "not the API": store, "mixed chain": mix, "no TLS": plain.URL, "no address": "https://"} {
		if _, err := Enroll(t.Context(), url, token, t.TempDir()); err == nil {
			t.Errorf("%s: enrolled", name)
		}
	}
	if n := other.requests.Load(); n != 0 {
		t.Errorf("%d requests came", n)
	}
	if _, err := Enroll(t.Context(), s.url, token, t.TempDir()); err != nil {
		t.Errorf("the token was spent: %v", err)
	}
}

func TestTokenIsUsedOnce(t *testing.T) {
	s := newSite(t)
	token := s.token(t, "n1")
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	var won atomic.Int32
	var group sync.WaitGroup
	for range 4 { // as many processes
		a, err := OpenAuthority(Options{Dir: s.dir})
		if err != nil {
			t.Fatal(err)
		}
		for range 8 {
			group.Go(func() {
				_, p, err := a.redeem(token, key.Public())
				if err == nil && p.Node == "n1" {
					won.Add(1)
				} else if err != errToken {
					t.Error(err)
				}
			})
		}
	}
	group.Go(func() {
		if _, err := Enroll(t.Context(), s.url, token, t.TempDir()); err == nil {
			won.Add(1)
		}
	})
	group.Wait()
	if n := won.Load(); n != 1 {
		t.Errorf("%d won", n)
	}
}

// TestTokenIsGoneBeforeTheCertificate: an authority that dies in between has
// used the token up.
func TestTokenIsGoneBeforeTheCertificate(t *testing.T) {
	s := newSite(t)
	token := s.token(t, "n1")
	if _, err := s.take(token); err != nil {
		t.Fatal(err)
	}
	a, err := OpenAuthority(Options{Dir: s.dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.redeem(token, s.cert.PublicKey); err != errToken {
		t.Errorf("%v", err)
	}
}

func TestTokensAreKeptAsHashes(t *testing.T) {
	s := newSite(t)
	token := s.token(t, "n1")
	secret := token.Text()[len(tokenPrefix) : len(tokenPrefix)+40]
	err := filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		hex := fmt.Sprintf("%x", token.secret)
		if strings.Contains(path+string(data), secret) || strings.Contains(path+string(data), hex) || bytes.Contains(data, token.secret[:]) {
			t.Errorf("%s has the secret", path)
		}
		if info, _ := d.Info(); info.Mode().Perm()&0o077 != 0 && d.Name() != revokedFile {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestNewTokenRefused(t *testing.T) {
	s := newSite(t)
	for _, tc := range []struct {
		node     string
		roles    []NodeRole
		lifetime time.Duration
	}{
		{"", allRoles, time.Hour}, {"a b", allRoles, time.Hour}, {"../x", allRoles, time.Hour}, {"n:1", allRoles, time.Hour},
		{"n1", nil, time.Hour}, {"n1", []NodeRole{"api"}, time.Hour}, {"n1", []NodeRole{ComputeNode, ""}, time.Hour},
		{"n1", allRoles, 0}, {"n1", allRoles, -1}, {"n1", allRoles, MaxTokenLifetime + 1},
	} {
		if _, err := s.NewToken(tc.node, tc.roles, tc.lifetime); cloud.KindOf(err) != cloud.Invalid {
			t.Errorf("%+v: %v", tc, err)
		}
	}
}

func TestTokensAreFew(t *testing.T) {
	s := newSite(t)
	dir := filepath.Join(s.dir, tokensDir)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(promise{"n1", allRoles, s.now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxTokens {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%064x.json", i)), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.NewToken("n2", allRoles, time.Hour); cloud.KindOf(err) != cloud.Conflict {
		t.Errorf("one more: %v", err)
	}
	s.ahead.Store(int64(2 * time.Hour))
	if _, err := s.NewToken("n2", allRoles, time.Hour); err != nil {
		t.Errorf("when they have expired: %v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("%d tokens are kept", len(entries))
	}
}

// send posts a body as a stranger does, with this certificate if it is not nil.
func send(t *testing.T, address string, id *Identity, body string) (int, string) {
	t.Helper()
	config := &tls.Config{InsecureSkipVerify: true}
	if id != nil {
		config = id.ClientConfig(API)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	res, err := client.Post(address, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// csr asks for everything that it can.
func csr(t *testing.T, key crypto.Signer) string {
	t.Helper()
	wish := func(name string) *url.URL { return &url.URL{Scheme: scheme, Opaque: name} }
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject:     pkix.Name{CommonName: "imprint:role:api", Organization: []string{"root"}},
		DNSNames:    []string{"n1", "controller"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		URIs:        []*url.URL{wish("node:n1"), wish("role:api"), wish("node-role:network")},
		ExtraExtensions: []pkix.Extension{ // CA:TRUE
			{Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}}},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(encode(blockRequest, der))
}

func TestWishesMeanNothing(t *testing.T) {
	s := newSite(t)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(request{s.token(t, "n2", ComputeNode).Text(), csr(t, key)})
	if err != nil {
		t.Fatal(err)
	}
	status, text := send(t, s.url+"/enroll", nil, string(body))
	var r reply
	if err := json.Unmarshal([]byte(text), &r); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	certs, err := parseCerts([]byte(r.Certificate))
	if err != nil {
		t.Fatal(err)
	}
	c := certs[0]
	p, err := peerOf(c)
	if err != nil || p.Node != "n2" || len(p.Roles) != 1 || p.Roles[0] != ComputeNode {
		t.Errorf("%+v, %v", p, err)
	}
	if c.IsCA || len(c.DNSNames)+len(c.IPAddresses) != 0 || c.Subject.String() != "" || len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth {
		t.Errorf("CA %t, names %v %v, subject %q, usage %v", c.IsCA, c.DNSNames, c.IPAddresses, c.Subject, c.ExtKeyUsage)
	}

	// The same at the renewal.
	node := s.enrol(t, "n3", ComputeNode)
	body, err = json.Marshal(request{CSR: csr(t, key), Token: s.token(t, "n1").Text()})
	if err != nil {
		t.Fatal(err)
	}
	status, text = send(t, s.url+"/renew", node, string(body))
	if err := json.Unmarshal([]byte(text), &r); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	if certs, err = parseCerts([]byte(r.Certificate)); err != nil {
		t.Fatal(err)
	}
	if p, err := peerOf(certs[0]); err != nil || p.Node != "n3" || len(p.Roles) != 1 {
		t.Errorf("renewed as %+v, %v", p, err)
	}
}

func TestBadRequestsSpendNoToken(t *testing.T) {
	s := newSite(t)
	token := s.token(t, "n1")
	good, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	weak, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	damaged := strings.Replace(csr(t, good), "MI", "NI", 1)
	body := func(token, csr string) string {
		b, err := json.Marshal(request{token, csr})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for name, tc := range map[string]struct {
		body   string
		status int
	}{
		"nothing":            {"", 400},
		"no JSON":            {"token", 400},
		"no csr":             {body(token.Text(), ""), 400},
		"damaged csr":        {body(token.Text(), damaged), 400},
		"two csrs":           {body(token.Text(), csr(t, good)+csr(t, good)), 400},
		"a certificate":      {body(token.Text(), string(encode(blockCert, s.cert.Raw))), 400},
		"weak key":           {body(token.Text(), csr(t, weak)), 400},
		"borrowed key":       {body(token.Text(), borrowed(t, s.cert.RawSubjectPublicKeyInfo, good)), 400},
		"no token":           {body("", csr(t, good)), 400},
		"token of no form":   {body("secret", csr(t, good)), 400},
		"more than is taken": {body(token.Text(), strings.Repeat("x", maxRequest)), 413},
	} {
		if status, text := send(t, s.url+"/enroll", nil, tc.body); status != tc.status || strings.Contains(text, token.Text()) {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	if _, err := Enroll(t.Context(), s.url, token, t.TempDir()); err != nil {
		t.Errorf("the token was spent: %v", err)
	}
}

// borrowed is a request for somebody else's key, signed with another.
func borrowed(t *testing.T, spki []byte, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	own, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(encode(blockRequest, bytes.Replace(der, own, spki, 1)))
}

func FuzzRequest(f *testing.F) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	body, err := newRequest(newToken(pin{1}).Text(), key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add([]byte(`{"token":"imprint1_","csr":"-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----"}`))
	f.Add([]byte(`{"csr":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		_, key, err := parseRequest(body)
		if err == nil && !strong(key) {
			t.Errorf("a %T was accepted", key)
		}
		if err != nil && cloud.KindOf(err) != cloud.Invalid {
			t.Errorf("kind of %v", err)
		}
	})
}
