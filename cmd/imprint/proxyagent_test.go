package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/host/cloud"
	"imprint/host/config"
	"imprint/host/metadataagent"
)

// options are "[group] name" and values.
type options map[string]string

func (o options) read() (agentOptions, error) {
	var text strings.Builder
	for place, value := range o {
		group, name, _ := strings.Cut(place, " ")
		fmt.Fprintf(&text, "%s\n%s = %s\n", group, name, value)
	}
	file, err := config.ParseINI(text.String())
	if err != nil {
		return agentOptions{}, err
	}
	return readAgentOptions(file)
}

func TestAgentOptions(t *testing.T) {
	o, err := options{
		"[DEFAULT] state_path": "/srv", "[DEFAULT] nova_metadata_ip": "2001:db8::1", "[DEFAULT] nova_metadata_protocol": "https",
		"[DEFAULT] nova_metadata_insecure": "Yes", "[DEFAULT] metadata_proxy_shared_secret": "s",
		"[DEFAULT] admin_user": "old", "[neutron] auth_url": "http://k:5000", "[neutron] valid_interfaces": "internal,public",
		"[DEFAULT] endpoint_type": "adminURL", "[neutron] insecure": "1", "[imprint] neutron_form": "on",
	}.read()
	if err != nil {
		t.Fatal(err)
	}
	got := []any{o.socket, o.mode, o.novaHost, o.novaPort, o.protocol, o.novaTLS.insecure, o.secret, o.login.Username, o.login.AuthURL, o.login.Interface, o.login.TLS.InsecureSkipVerify, o.neutronForm}
	want := []any{"/srv/metadata_proxy", "deduce", "2001:db8::1", 8775, "https", true, "s", "old", "http://k:5000", "internal", true, true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if c, err := o.agentConfig(); err != nil || c.Services[0] != "[2001:db8::1]:8775" || c.TLS == nil || !c.AnyPeer {
		t.Errorf("%+v, %v", c, err)
	}
	limited := options{
		"[DEFAULT] metadata_proxy_shared_secret": "s", "[metadata_rate_limiting] rate_limit_enabled": "true",
		"[metadata_rate_limiting] base_query_rate_limit": "5", "[metadata_rate_limiting] burst_query_rate_limit": "20",
	}
	if o, err = limited.read(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(metadataagent.Limits{Rate: 0.5, Burst: 20, SenderRate: 0.5, SenderBurst: 20}, o.limits.agent()); diff != "" {
		t.Error(diff)
	}
	for name, bad := range map[string]options{
		"[DEFAULT] metadata_proxy_socket_mode":          {"[DEFAULT] metadata_proxy_socket_mode": "0666"},
		"[DEFAULT] nova_metadata_port":                  {"[DEFAULT] nova_metadata_port": "99999"},
		"[DEFAULT] nova_metadata_insecure":              {"[DEFAULT] nova_metadata_insecure": "maybe"},
		"[DEFAULT] metadata_proxy_socket":               {"[DEFAULT] metadata_proxy_socket": "$nowhere/x"},
		"[metadata_rate_limiting] base_window_duration": {"[metadata_rate_limiting] base_window_duration": "0"},
		"certificate": {"[neutron] certfile": "/x"},
	} {
		bad["[DEFAULT] metadata_proxy_shared_secret"] = "s"
		if _, err := bad.read(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (options{}).read(); err == nil || !strings.Contains(err.Error(), "shared_secret") {
		t.Errorf("no secret: %v", err)
	}
}

func TestSocketMode(t *testing.T) {
	own, other := fmt.Sprint(os.Geteuid()), "65533"
	for _, c := range []struct {
		mode, user, group string
		want              fs.FileMode
	}{
		{"deduce", "", "", 0o644}, {"deduce", "", other, 0o644}, {"deduce", "0", other, 0o644}, {"deduce", "root", "", 0o644}, {"deduce", own, other, 0o644},
		{"deduce", other, "", 0o664}, {"deduce", other, fmt.Sprint(os.Getegid()), 0o664}, {"deduce", other, other, 0o666},
		{"user", other, other, 0o644}, {"group", "", "", 0o664}, {"all", "", "", 0o666},
	} {
		got, err := agentOptions{mode: c.mode, user: c.user, group: c.group}.socketMode()
		if err != nil || got != c.want {
			t.Errorf("%+v: %o, %v", c, got, err)
		}
	}
	if _, err := (agentOptions{mode: "deduce", user: "no-such-user"}).socketMode(); err == nil {
		t.Error("an unknown user is taken")
	}
}

// smallCloud is a Keystone and a Neutron with one port.
func smallCloud(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	mux.HandleFunc("POST /v3/auth/tokens", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Subject-Token", "t")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"token": {"expires_at": "2999-01-01T00:00:00Z", "catalog": []}}`)
	})
	mux.HandleFunc("GET /v2.0/ports", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		ports := []any{}
		if q.Get("fixed_ips") == "ip_address=10.0.0.5" && q.Get("network_id") == someNetwork {
			ports = append(ports, map[string]any{
				"id": "p", "network_id": someNetwork, "tenant_id": "project", "mac_address": "fa:16:3e:00:00:01", "device_owner": "compute:nova",
				"device_id": "server", "fixed_ips": []any{map[string]any{"subnet_id": "s", "ip_address": "10.0.0.5"}},
			})
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"ports": ports})
	})
	return server.URL
}

// smallNova speaks TLS with who has a certificate, and answers for whom it is
// asked. Its certificate is in a file, which serves as the client's too.
func smallNova(t *testing.T, dir string) (host, port, cert, key string) {
	t.Helper()
	nova := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, r.Header.Get(cloud.HeaderInstanceID), " ", r.Header.Get(cloud.HeaderTenantID), " ", len(r.TLS.PeerCertificates), " ", r.Header.Get("User-Agent"))
	}))
	nova.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	nova.StartTLS()
	t.Cleanup(nova.Close)
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	own := nova.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: own.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	host, port, err = net.SplitHostPort(nova.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return host, port, cert, key
}

// TestDropInAgent goes all the way: options, socket, look-up in Neutron, Nova
// over TLS with a client's certificate.
func TestDropInAgent(t *testing.T) {
	dir := t.TempDir()
	neutron := smallCloud(t)
	host, port, cert, key := smallNova(t, dir)
	d, n := func(s string) string { return "[DEFAULT] " + s }, func(s string) string { return "[neutron] " + s }
	file := options{
		d("state_path"): dir, d("nova_metadata_host"): host, d("nova_metadata_port"): port, d("nova_metadata_protocol"): "https",
		d("auth_ca_cert"): cert, d("nova_client_cert"): cert, d("nova_client_priv_key"): key, d("metadata_proxy_shared_secret"): "s",
		n("auth_url"): neutron + "/v3", n("username"): "u", n("password"): "p", n("project_name"): "service", n("endpoint_override"): neutron,
		"[imprint] neutron_form": "true",
	}
	command := agentMetadataCommand()
	command.SetArgs([]string{"--config-file", writeOptions(t, file), "--log-file", filepath.Join(dir, "log")})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- command.ExecuteContext(ctx) }()
	socket := filepath.Join(dir, "metadata_proxy")
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialSoon(ctx, socket) }}}
	for addr, want := range map[string]string{"10.0.0.5": "server project 1 python-requests/2.28.1", "10.0.0.6": "404 Not Found\n\nThe resource could not be found.\n\n   "} {
		req, err := http.NewRequest("GET", "http://agent/latest", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"X-Neutron-Network-Id": {someNetwork}, "X-Forwarded-For": {addr}}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if string(body) != want {
			t.Errorf("%s: %d %q", addr, res.StatusCode, body)
		}
	}
	if st, err := os.Stat(socket); err != nil || st.Mode().Perm() != 0o644 {
		t.Errorf("socket: %v, %v", st, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if log, err := os.ReadFile(filepath.Join(dir, "log")); t.Failed() || err != nil || !strings.Contains(string(log), "metadata agent serves") {
		t.Errorf("log: %v, %s", err, log)
	}
}

// dialSoon connects as soon as somebody listens.
func dialSoon(ctx context.Context, socket string) (net.Conn, error) {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		c, err := new(net.Dialer).DialContext(ctx, "unix", socket)
		if err == nil || time.Now().After(deadline) {
			return c, err
		}
	}
}

// writeOptions writes options, by "[group] name", to a file.
func writeOptions(t *testing.T, o options) string {
	t.Helper()
	var text strings.Builder
	for name, value := range o {
		group, option, _ := strings.Cut(name, " ")
		fmt.Fprintf(&text, "%s\n%s = %s\n", group, option, value)
	}
	path := filepath.Join(t.TempDir(), "metadata_agent.ini")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
