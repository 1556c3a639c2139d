package lab

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imprint/base/openstack"
)

// haproxyConfig is what Neutron writes for its proxies (neutron:
// agent/metadata/driver.py, 21.0.0), but for user, group, log and the
// background: of socket, bind, kind that is deleted, kind and id.
const haproxyConfig = `
global
    maxconn     1024

defaults
    mode http
    option http-server-close
    option forwardfor
    retries                 3
    timeout http-request    30s
    timeout connect         30s
    timeout client          32s
    timeout server          32s
    timeout http-keep-alive 30s

listen listener
    bind %s
    server metadata %s
    http-request del-header X-Neutron-%s-ID
    http-request set-header X-Neutron-%s-ID %s
`

// haproxy starts one, and returns its address when it listens.
func haproxy(t *testing.T, socket, deleted, kind, id string) string {
	t.Helper()
	program, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("needs haproxy")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	conf := filepath.Join(t.TempDir(), "conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, haproxyConfig, address, socket, deleted, kind, id), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-db", "-f", conf)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return address
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestHAProxyInFront: Neutron's own proxy passes on what a client forges, and
// adds to it. The agent believes what the proxy adds, and nothing else.
func TestHAProxyInFront(t *testing.T) {
	h := startHops(t)
	byRouter := haproxy(t, h.socket, "Network", "Router", string(hopRouter))
	byNetwork := haproxy(t, h.socket, "Router", "Network", string(hopNetB))
	forged := http.Header{}
	for _, name := range []string{"X-Forwarded-For", "X-Instance-ID", "X-Tenant-ID", "X-Instance-ID-Signature", "X-Neutron-Router-ID", "X-Neutron-Network-ID", "X-Metadata-Provider"} {
		forged.Set(name, "127.0.0.2")
	}
	for name, c := range map[string]struct {
		from, to string
		header   http.Header
		status   int
		server   string
	}{
		"router way":            {"127.0.0.1", byRouter, nil, 200, string(hopNetA) + "-0"},
		"DHCP way":              {"127.0.0.1", byNetwork, nil, 200, string(hopNetB) + "-0"},
		"forged":                {"127.0.0.1", byRouter, forged, 200, string(hopNetA) + "-0"},
		"underscores":           {"127.0.0.1", byNetwork, http.Header{"X_neutron_router_id": {string(hopRouter)}}, 400, ""},
		"nobody":                {"127.0.0.9", byRouter, nil, 404, ""},
		"the DHCP port address": {"127.0.0.3", byNetwork, nil, 404, ""},
	} {
		status, body := curl(t, c.from, c.to, "/openstack/latest/meta_data.json", c.header)
		m, _ := openstack.ParseMetaData([]byte(body))
		if status != c.status || c.status == 200 && m.UUID != c.server || c.status != 200 && !strings.HasPrefix(body, fmt.Sprint(c.status)) {
			t.Errorf("%s: %d %q", name, status, body)
		}
	}
}
