package metadata

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imprint/base/openstack"
	"imprint/host/cloud"
)

// What Nova 26.2.2 answered, and the facts of the instances it answered for.
const (
	goldenAnswers   = "../../base/openstack/testdata/nova-zed.json"
	goldenInstances = "../../base/openstack/testdata/instances.json"
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

func readGolden(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func siteVendorData(t *testing.T) openstack.VendorData {
	t.Helper()
	v, err := openstack.ParseVendorData([]byte(`{"peer-static": {"answer": 42, "list": ["a", "b"]}, "cloud-init": "#cloud-config\n{}\n"}`))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// fixed is a set of instances without an index.
type fixed map[cloud.ServerID]*openstack.Instance

func (f fixed) Instance(id cloud.ServerID) (*openstack.Instance, error) {
	if i := f[id]; i != nil {
		return i, nil
	}
	return nil, cloud.ErrNotFound
}

func goldenFixtures(t *testing.T) fixed {
	t.Helper()
	var list []*openstack.Instance
	readGolden(t, goldenInstances, &list)
	f := fixed{}
	for _, i := range list {
		i.VendorData = siteVendorData(t)
		f[cloud.ServerID(i.UUID)] = i
	}
	return f
}

const (
	goldenSecret = "peer-shared-secret"
	seedMark     = "@RANDOM_SEED_684_CHARS@"
)

var (
	seed     = bytes.Repeat([]byte{0xa5}, 512)
	seedText = base64.StdEncoding.EncodeToString(seed)
)

type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, seed[:min(len(p), len(seed))]), nil }

// serve starts a service on loopback and returns its URL.
func serve(t *testing.T, instances Instances) string {
	t.Helper()
	s, err := NewService(instances, goldenSecret, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.random = endless{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return server.URL
}

type reply struct {
	Status int
	Kind   string
	Body   string
}

// ask sends a request whose path goes out as it is written.
func ask(t *testing.T, base, method, path string, headers map[string]string, length int) reply {
	t.Helper()
	r, err := http.NewRequest(method, base, strings.NewReader(strings.Repeat("x", length)))
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Opaque = path
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header.Get("Content-Type"), strings.ReplaceAll(string(body), seedText, seedMark)}
}

// expected is the captured answer, with what ours departs in on purpose: the
// version that Nova 31 added, no dynamic vendor data, no password.
func (g golden) expected(t *testing.T, path string, c captured) reply {
	t.Helper()
	r := reply{c.status, c.kind, g.body(t, c.body)}
	switch {
	case strings.Trim(path, "/") == "openstack":
		r.Body = strings.Replace(r.Body, "\nlatest", "\n2025-04-04\nlatest", 1)
	case strings.HasSuffix(path, "/vendor_data2.json"):
		if cut := strings.Index(r.Body, `, "peer": {"greeting"`); cut > 0 {
			r.Body = r.Body[:cut] + "}"
		}
	case strings.HasSuffix(path, "/password") && c.status == http.StatusOK:
		r.Body = ""
	}
	return r
}

func TestReplayInstances(t *testing.T) {
	var g golden
	readGolden(t, goldenAnswers, &g)
	url := serve(t, goldenFixtures(t))
	for _, i := range g.Instances {
		for path, want := range i.Responses {
			got := ask(t, url, "GET", path, i.Headers, 0)
			if diff := cmp.Diff(g.expected(t, path, want), got); diff != "" {
				t.Errorf("%s %s: -nova +ours\n%s", i.Name, path, diff)
			}
		}
	}
}

// ours are the cases that are answered in another way than Nova's.
var ours = map[string]int{
	"path /latest/meta-data/ami-id/x":                                http.StatusNotFound,  // crashes Nova
	"X-Metadata-Provider, well signed, unknown":                      http.StatusForbidden, // crashes Nova
	"password (all steps within the cache time): POST 1020 bytes":    http.StatusForbidden, // nothing keeps it
	"password (all steps within the cache time): POST another value": http.StatusForbidden,
	"password (16 s pause after every write): POST 1020 bytes":       http.StatusForbidden,
	"password (16 s pause after every write): POST another value":    http.StatusForbidden,
	"password (16 s pause after every write): POST empty (clear)":    http.StatusOK, // 409 on one that is set
	"password: POST bytes that are not UTF-8":                        http.StatusForbidden,
	"password: POST with trailing slash, value ends in newline":      http.StatusForbidden,
}

func TestReplayErrors(t *testing.T) {
	var g golden
	readGolden(t, goldenAnswers, &g)
	url := serve(t, goldenFixtures(t))
	left := len(ours)
	for _, e := range g.Errors {
		got := ask(t, url, e.Method, e.Path, e.Headers, e.Length)
		if status, ok := ours[e.Case]; ok {
			left--
			if got.Status != status {
				t.Errorf("%s: status %d, want %d", e.Case, got.Status, status)
			}
			continue
		}
		want := g.expected(t, e.Path, e.Response)
		if strings.Contains(e.Case, "GET of it") || strings.Contains(e.Case, "GET with trailing slash") {
			want.Body = "" // of a password that was set
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -nova +ours\n%s", e.Case, diff)
		}
	}
	if left != 0 {
		t.Errorf("%d exceptions name no captured case", left)
	}
}
