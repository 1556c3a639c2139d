package metadata

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"imprint/base/openstack"
	"imprint/host/cloud"
)

// What Nova 26.2.2 answered, and the facts of the instances it answered for.
const (
	goldenAnswers   = "../../base/openstack/testdata/nova-zed.json"
	goldenMore      = "testdata/nova-zed.json"
	goldenInstances = "../../base/openstack/testdata/instances.json"
	goldenVendor    = `{"peer-static": {"answer": 42, "list": ["a", "b"]}, "cloud-init": "#cloud-config\n{}\n"}`
	goldenSecret    = "peer-shared-secret"
	seedMark        = "@RANDOM_SEED_684_CHARS@"
)

type golden struct {
	Instances []struct {
		Name      string
		ID        cloud.ServerID
		Headers   map[string]string
		Responses map[string]captured
	}
	Errors []struct {
		Case     string
		Method   string
		Path     string
		Headers  map[string]string
		Length   int
		Response captured
	}
	Bodies []string
}

// captured is a status, a Content-Type and an index into the bodies.
type captured struct {
	status int
	kind   string
	body   int
}

func (c *captured) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&c.status, &c.kind, &c.body})
}

// more is testdata/nova-zed.json.
type more struct {
	Reasons map[int]string
	Direct  []struct {
		Case         string
		ForwardedFor bool `json:"use_forwarded_for"`
		Path         string
		Headers      [][2]string
		Status       int
		Kind         string
		Body         string
	}
	Exchanges []struct{ What, Request, Response string }
	Vendor    []struct {
		Request string
		Headers [][2]string
		Body    json.RawMessage
	}
}

func (g golden) body(t *testing.T, n int) string {
	t.Helper()
	encoded, is64 := strings.CutPrefix(g.Bodies[n], "b64:")
	if !is64 {
		return encoded
	}
	b, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func readGolden(t testing.TB, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func siteVendorData(t testing.TB) openstack.VendorData {
	t.Helper()
	v, err := openstack.ParseVendorData([]byte(goldenVendor))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// goldenFixture reads the captured instances from a fixture's directory.
func goldenFixture(t testing.TB) *Fixture {
	t.Helper()
	instances, err := os.ReadFile(goldenInstances)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, b := range map[string][]byte{"instances.json": instances, "vendor_data.json": []byte(goldenVendor)} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := LoadFixture(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

var (
	seedBytes = bytes.Repeat([]byte{0xa5}, 512)
	seedText  = base64.StdEncoding.EncodeToString(seedBytes)
)

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	return copy(p, seedBytes[:min(len(p), len(seedBytes))]), nil
}

// serve starts a service on loopback and returns its URL.
func serve(t testing.TB, o Options) string {
	t.Helper()
	if o.Trust != TrustAddress {
		o.Secret = goldenSecret
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.random = endless{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return server.URL
}

// reply is all of an answer that Nova's has: no other header of ours is named.
type reply struct {
	Status string // with the reason
	Kind   string
	Body   string
}

// ask sends a request whose path goes out as it is written.
func ask(t testing.TB, base, method, path string, headers http.Header, body string) reply {
	t.Helper()
	r, err := http.NewRequest(method, base, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Opaque = path
	r.Header = headers
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return readReply(t, res)
}

func readReply(t testing.TB, res *http.Response) reply {
	t.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{res.Status, res.Header.Get("Content-Type"), strings.ReplaceAll(string(body), seedText, seedMark)}
}

func headersOf(m map[string]string) http.Header {
	h := http.Header{}
	for name, value := range m {
		h.Set(name, value)
	}
	return h
}

// greeter is the dynamic target that Nova had: it greets by the host name.
func greeter(t testing.TB, asked func(*http.Request, []byte)) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var d struct{ Hostname string }
		if err := json.Unmarshal(body, &d); err != nil {
			t.Errorf("a target was sent %s: %v", body, err)
		}
		if asked != nil {
			asked(r, body)
		}
		io.WriteString(w, `{"greeting": "from the peer", "hostname": "`+d.Hostname+`", "n": [1, 2, 3]}`)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func loopback(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
