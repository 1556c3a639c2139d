package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// recordings are the calls of the stock client and what a real Zed answered.
const recordings = "../restapi/testdata/nova-zed-cli-requests.json"

// recorded is one command of the client with its calls. It is an OpenStack
// that can answer this command only, once.
type recorded struct {
	Command string
	Calls   []*recordedCall

	login []*recordedCall // come before the calls

	mu       sync.Mutex
	answered map[*recordedCall]bool
	url      string // of this server, without a slash
}

type recordedCall struct {
	Method, URL string
	Status      int
	Response    json.RawMessage
}

// token is what the real Keystone's answer was like; it was not recorded.
const token = `{"token": {"methods": ["password"], "expires_at": "2030-01-01T00:00:00.000000Z", "issued_at": "2029-01-01T00:00:00.000000Z",
"user": {"id": "u", "name": "admin", "domain": {"id": "default", "name": "Default"}, "password_expires_at": null}, "audit_ids": ["a"],
"project": {"id": "p", "name": "admin", "domain": {"id": "default", "name": "Default"}}, "is_domain": false, "roles": [{"id": "r", "name": "admin"}],
"catalog": [
{"id": "1", "type": "identity", "name": "keystone", "endpoints": [{"id": "1", "interface": "public", "region": "R", "region_id": "R", "url": "http://127.0.0.1:5000/v3"}]},
{"id": "2", "type": "compute", "name": "nova", "endpoints": [{"id": "2", "interface": "public", "region": "R", "region_id": "R", "url": "http://127.0.0.1:8774/v2.1"}]},
{"id": "3", "type": "image", "name": "glance", "endpoints": [{"id": "3", "interface": "public", "region": "R", "region_id": "R", "url": "http://127.0.0.1:9292"}]},
{"id": "4", "type": "network", "name": "neutron", "endpoints": [{"id": "4", "interface": "public", "region": "R", "region_id": "R", "url": "http://127.0.0.1:9696"}]}]}}`

var serverID = regexp.MustCompile(`/servers/([0-9a-f-]+)$`)

var recordedPort = regexp.MustCompile(`http://127\.0\.0\.1:(\d+)`)

// ServeHTTP answers the way the recorded service did. The path begins with the
// recorded port, so that one listener stands for all services.
func (r *recorded) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	io.Copy(io.Discard, req.Body)
	c := r.next(req)
	if c == nil {
		http.Error(w, "not recorded: "+req.Method+" "+req.URL.String(), http.StatusNotImplemented)
		return
	}
	body := c.Response
	w.Header().Set("Content-Type", "application/json")
	if strings.HasSuffix(c.URL, "/auth/tokens") {
		w.Header().Set("X-Subject-Token", "token")
		body = json.RawMessage(token)
	}
	if bytes.HasPrefix(body, []byte(`"`)) { // the list was not recorded
		body = json.RawMessage(`{"extensions": []}`)
	}
	w.WriteHeader(c.Status)
	if c.Status != http.StatusNoContent {
		w.Write(recordedPort.ReplaceAll(body, []byte(r.url+"/$1")))
	}
}

// next returns the recorded call that req repeats: the next of several alike,
// then always the last.
func (r *recorded) next(req *http.Request) (found *recordedCall) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range append(r.login[:len(r.login):len(r.login)], r.Calls...) {
		u, err := url.Parse(c.URL)
		if err != nil || c.Method != req.Method || place(u, "/"+u.Port()) != place(req.URL, "") {
			continue
		}
		if found = c; !r.answered[c] {
			r.answered[c] = true
			return c
		}
	}
	return found
}

// place is what calls to one thing have in common. Releases of the client ask
// for the same fields in different ways.
func place(u *url.URL, prefix string) string {
	q := u.Query()
	q.Del("fields")
	return prefix + strings.TrimSuffix(u.Path, "/") + "?" + q.Encode()
}

// fieldsOfZed runs each recorded command that prints fields, with the real
// cloud's answers, and returns what fields the client printed: by the
// command's first two words, as those of its first form.
func fieldsOfZed(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(recordings)
	if err != nil {
		t.Fatal(err)
	}
	var all []*recorded
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"id_peer.pub", "ud.txt", "blob"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("content\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fields := map[string][]string{}
	var mu sync.Mutex
	var running sync.WaitGroup
	two := make(chan struct{}, 2)
	login := all[0].Calls // of token issue; left out of the others
	for _, r := range all {
		words := strings.Fields(r.Command)
		r.login = login
		if words[1] == "server" && words[2] == "show" { // by id: the recorded list lacks the server
			words[3] = serverID.FindStringSubmatch(r.Calls[2].URL)[1]
		}
		name := strings.Join(words[1:3], " ")
		if _, known := fields[name]; known || !prints(words) {
			continue
		}
		fields[name] = nil
		running.Go(func() {
			two <- struct{}{}
			defer func() { <-two }()
			got, err := r.run(dir, words)
			if err != nil {
				t.Errorf("%s with the recorded answers: %v", r.Command, err)
			}
			mu.Lock()
			defer mu.Unlock()
			fields[name] = got
		})
	}
	running.Wait()
	return fields
}

// prints reports whether a command prints fields.
func prints(words []string) bool {
	return slices.ContainsFunc([]string{"issue", "create", "show", "list"}, func(verb string) bool { return words[2] == verb }) &&
		!slices.Contains(words, "x-gen") // prints the private key
}

func (r *recorded) run(dir string, words []string) ([]string, error) {
	server := httptest.NewServer(r)
	defer server.Close()
	r.url, r.answered = server.URL, map[*recordedCall]bool{}
	cmd := exec.Command(words[0], append(words[1:], "-f", "json")...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "OS_AUTH_URL="+server.URL+"/5000/v3", "OS_USERNAME=admin", "OS_PASSWORD=secret", "OS_PROJECT_NAME=admin",
		"OS_USER_DOMAIN_ID=default", "OS_PROJECT_DOMAIN_ID=default", "OS_IDENTITY_API_VERSION=3", "OS_CLOUD=", "OS_CLIENT_CONFIG_FILE=/dev/null")
	out, err := cmd.Output()
	if err != nil {
		if failed, ok := err.(*exec.ExitError); ok {
			return nil, &outputError{err, string(failed.Stderr)}
		}
		return nil, err
	}
	return printedFields(out)
}

// outputError is a command's failure with what it said.
type outputError struct {
	error
	stderr string
}

func (e *outputError) Error() string { return e.error.Error() + ": " + e.stderr }

// printedFields returns the sorted names in what the client printed as JSON: an
// object, or a list of them, of which the first counts.
func printedFields(out []byte) ([]string, error) {
	var object map[string]any
	if out = bytes.TrimSpace(out); bytes.HasPrefix(out, []byte("[")) {
		var list []map[string]any
		if err := json.Unmarshal(out, &list); err != nil || len(list) == 0 {
			return nil, err
		}
		object = list[0]
	} else if err := json.Unmarshal(out, &object); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(object)), nil
}
