package neutron

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"imprint/host/cloud"
)

// fake is a Keystone and a Neutron with the ports of a real one.
type fake struct {
	*httptest.Server
	mu     sync.Mutex
	ports  []map[string]any
	asked  []string // the queries for ports
	logins int
	valid  string        // the token
	away   bool          // no answer but 503
	hold   chan struct{} // unless nil, an answer waits for it
	page   int           // ports of one answer; 0: all
}

const fakePassword = "peerpw"

func newFake(t *testing.T) *fake {
	t.Helper()
	var captured struct{ Ports []map[string]any }
	b, err := os.ReadFile("testdata/ports.json")
	if err == nil {
		err = json.Unmarshal(b, &captured)
	}
	if err != nil || len(captured.Ports) < 12 {
		t.Fatal(len(captured.Ports), err)
	}
	f := &fake{ports: captured.Ports}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v3/auth/tokens", f.token)
	mux.HandleFunc("GET /network/v2.0/ports", f.list)
	mux.HandleFunc("GET /network/{$}", func(w http.ResponseWriter, _ *http.Request) {
		link := map[string]any{"rel": "self", "href": f.URL + "/network/v2.0/"}
		answer(w, map[string]any{"versions": []any{map[string]any{"id": "v2.0", "status": "CURRENT", "links": []any{link}}}})
	})
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.Close)
	return f
}

func (f *fake) login() Login {
	return Login{AuthURL: f.URL + "/v3", Username: "neutron", Password: fakePassword, Project: "service", Region: "RegionOne"}
}

// token gives a new one and makes the last one invalid.
func (f *fake) token(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Auth struct {
			Identity struct {
				Password struct {
					User struct {
						Name, Password string
						Domain         struct{ Name string }
					}
				}
			}
			Scope struct {
				Project struct {
					Name   string
					Domain struct{ Name string }
				}
			}
		}
	}
	err := json.NewDecoder(r.Body).Decode(&ask)
	user, project := ask.Auth.Identity.Password.User, ask.Auth.Scope.Project
	if err != nil || user.Password != fakePassword || user.Domain.Name != "Default" || project.Name != "service" || project.Domain.Name != "Default" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logins++
	f.valid = fmt.Sprint("token-", f.logins)
	w.Header().Set("X-Subject-Token", f.valid)
	w.WriteHeader(http.StatusCreated)
	answer(w, map[string]any{"token": map[string]any{
		"expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
		"catalog": []any{map[string]any{"type": "network", "name": "neutron", "endpoints": []any{
			map[string]any{"interface": "public", "region": "RegionOne", "region_id": "RegionOne", "url": f.URL + "/network/"},
		}}},
	}})
}

// list filters as Neutron does: values of one name are alternatives.
func (f *fake) list(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	q, hold := r.URL.Query(), f.hold
	f.asked = append(f.asked, r.URL.RawQuery)
	ports, status := []map[string]any{}, http.StatusOK
	switch {
	case f.away:
		status = http.StatusServiceUnavailable
	case r.Header.Get("X-Auth-Token") != f.valid:
		status = http.StatusUnauthorized
	}
	for _, p := range f.ports {
		if matches(p, q) {
			ports = append(ports, p)
		}
	}
	page := f.page
	f.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if status != http.StatusOK {
		w.WriteHeader(status)
		return
	}
	body := map[string]any{}
	if marker := q.Get("marker"); marker != "" {
		ports = ports[1+slices.IndexFunc(ports, func(p map[string]any) bool { return p["id"] == marker }):]
	}
	if page > 0 && len(ports) > page {
		ports = ports[:page]
		q.Set("marker", ports[page-1]["id"].(string))
		body["ports_links"] = []any{map[string]any{"rel": "next", "href": f.URL + r.URL.Path + "?" + q.Encode()}}
	}
	body["ports"] = ports
	answer(w, body)
}

func matches(p map[string]any, q map[string][]string) bool {
	for name, values := range q {
		switch name {
		case "fields", "marker":
		case "fixed_ips":
			if !slices.ContainsFunc(p["fixed_ips"].([]any), func(ip any) bool {
				return slices.Contains(values, "ip_address="+ip.(map[string]any)["ip_address"].(string))
			}) {
				return false
			}
		default:
			if !slices.Contains(values, p[name].(string)) {
				return false
			}
		}
	}
	return true
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

// questions are the queries so far.
func (f *fake) questions() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

func (f *fake) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

// give makes the port with the address another instance's.
func (f *fake) give(addr, device string) {
	f.change(func() {
		for _, p := range f.ports {
			if matches(p, map[string][]string{"fixed_ips": {"ip_address=" + addr}}) {
				p["device_id"] = device
			}
		}
	})
}

// clock is a time that stands still.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// start returns look-ups in the fake, at a time of the test's.
func (f *fake) start(t *testing.T) (*Ports, *clock) {
	t.Helper()
	p, err := New(f.login(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	at := &clock{at: time.Unix(1_000_000, 0)}
	p.cache.now = at.now
	return p, at
}

func ids(ports []cloud.DesiredPort) string {
	var all []string
	for _, p := range ports {
		all = append(all, p.DeviceID)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}
