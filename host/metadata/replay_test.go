package metadata

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"imprint/base/openstack"
)

// replay compares answers with what was captured. A departure from that has a
// name of docs/departures.md.
type replay struct {
	t          *testing.T
	golden     golden
	more       more
	departures string
	met        map[string]bool
}

func newReplay(t *testing.T) *replay {
	r := &replay{t: t, met: map[string]bool{}}
	readGolden(t, goldenAnswers, &r.golden)
	readGolden(t, goldenMore, &r.more)
	b, err := os.ReadFile("../../docs/departures.md")
	if err != nil {
		t.Fatal(err)
	}
	r.departures = string(b)
	return r
}

// check compares; with the name of a departure the answer must be want all the
// same, and another than nova's.
func (r *replay) check(what string, nova, want, got reply, departure string) {
	r.t.Helper()
	if departure != "" {
		r.met[departure] = true
		if !strings.Contains(r.departures, "\n| "+departure+" |") {
			r.t.Errorf("%s: docs/departures.md has no %s", what, departure)
		}
		if nova == want {
			r.t.Errorf("%s: no departure is left", what)
		}
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		r.t.Errorf("%s %s: -want +ours\n%s", what, departure, diff)
	}
}

// done fails when a departure was not met.
func (r *replay) done(names ...string) {
	r.t.Helper()
	if got := slices.Sorted(maps.Keys(r.met)); !slices.Equal(got, slices.Sorted(slices.Values(names))) {
		r.t.Errorf("departures %q, want %q", got, names)
	}
}

func (r *replay) captured(c captured) reply {
	if c.status == 0 {
		return reply{Status: "closed"}
	}
	return reply{r.status(c.status), c.kind, r.golden.body(r.t, c.body)}
}

func (r *replay) status(n int) string {
	reason := r.more.Reasons[n]
	if reason == "" {
		r.t.Fatalf("status %d was not captured", n)
	}
	return fmt.Sprintf("%d %s", n, reason)
}

// newer puts the version that Nova 31 added into the list of versions.
func newer(path string, nova reply) (want reply, departure string) {
	want = nova
	if strings.Trim(path, "/") == "openstack" {
		want.Body = strings.Replace(nova.Body, "\nlatest", "\n2025-04-04\nlatest", 1)
		return want, "newer-version"
	}
	return want, ""
}

func notFoundReply() reply {
	return reply{"404 Not Found", openstack.TypeText, "404 Not Found\n\nThe resource could not be found.\n\n   "}
}

// goldenVendorTargets is a Vendor with the target that Nova had.
func goldenVendorTargets(t *testing.T, asked func(*http.Request, []byte), tokens Tokens) *Vendor {
	v := NewVendor(VendorOptions{Targets: []Target{{"peer", greeter(t, asked)}}, Domain: "novalocal", Tokens: tokens})
	t.Cleanup(v.Close)
	return v
}

// TestReplayInstances asks for every captured answer to the seven instances.
func TestReplayInstances(t *testing.T) {
	r := newReplay(t)
	f := goldenFixture(t)
	for _, i := range r.golden.Instances { // two of them had set a password by then
		if p := r.golden.body(t, i.Responses["/openstack/latest/password"].body); p != "" {
			if err := f.SetPassword(t.Context(), i.ID, p); err != nil {
				t.Fatal(err)
			}
		}
	}
	url := serve(t, Options{Instances: f, Passwords: f, Vendor: goldenVendorTargets(t, nil, nil)})
	asked := 0
	for _, i := range r.golden.Instances {
		for path, c := range i.Responses {
			nova := r.captured(c)
			want, departure := newer(path, nova)
			r.check(i.Name+" "+path, nova, want, ask(t, url, "GET", path, headersOf(i.Headers), ""), departure)
			asked++
		}
	}
	if asked != 1079 {
		t.Errorf("%d answers replayed", asked)
	}
	r.done("newer-version")
}

// bodyOf is what was sent in a captured case.
func bodyOf(name string, length int) string {
	switch {
	case strings.Contains(name, "not UTF-8"):
		return "\xff\xfe"
	case strings.Contains(name, "ends in newline"):
		return "q\n"
	}
	return strings.Repeat("p", length)
}

// TestReplayErrors plays the 109 cases of paths, methods, headers and the
// password in their order.
func TestReplayErrors(t *testing.T) {
	r := newReplay(t)
	f := goldenFixture(t)
	url := serve(t, Options{Instances: f, Passwords: f})
	if len(r.golden.Errors) != 109 {
		t.Errorf("%d cases", len(r.golden.Errors))
	}
	for _, e := range r.golden.Errors {
		nova := r.captured(e.Response)
		want, departure := r.expected(e.Case, e.Path, nova)
		got := ask(t, url, e.Method, e.Path, headersOf(e.Headers), bodyOf(e.Case, e.Length))
		r.check(e.Case, nova, want, got, departure)
	}
	r.done("below-a-leaf", "password-at-once", "password-not-utf8", "provider-in-signed-mode")
}

// expected is what a case is answered with, and the departure if it is one.
func (r *replay) expected(name, path string, nova reply) (reply, string) {
	const within = "password (all steps within the cache time): "
	set := reply{nova.Status, nova.Kind, strings.Repeat("p", MaxPassword)}
	conflict := reply{"409 Conflict", openstack.TypeText, "409 Conflict\n\nThere was a conflict when trying to complete your request.\n\n   "}
	switch name {
	case "path /latest/meta-data/ami-id/x":
		return notFoundReply(), "below-a-leaf"
	case "X-Metadata-Provider, well signed, unknown":
		return reply{"403 Forbidden", openstack.TypeText, "403 Forbidden\n\nInvalid proxy request signature.\n\n   "}, "provider-in-signed-mode"
	case within + "GET", within + "GET on 2013-04-04":
		return set, "password-at-once"
	case within + "POST another value", within + "POST empty (clear)":
		return conflict, "password-at-once"
	case "password: POST bytes that are not UTF-8":
		return reply{"400 Bad Request", openstack.TypeText, "400 Bad Request\n\nThe password is not UTF-8.\n\n   "}, "password-not-utf8"
	}
	return newer(path, nova)
}

// TestReplayDirect plays the mode without a proxy.
func TestReplayDirect(t *testing.T) {
	r := newReplay(t)
	f := goldenFixture(t)
	urls := map[bool]string{}
	for _, forwarded := range []bool{false, true} {
		urls[forwarded] = serve(t, Options{Instances: f, Trust: TrustAddress, ForwardedFor: forwarded})
	}
	for _, d := range r.more.Direct {
		h := http.Header{}
		for _, pair := range d.Headers {
			h.Add(pair[0], pair[1])
		}
		nova := reply{r.status(d.Status), d.Kind, d.Body}
		want, departure := nova, ""
		if d.Case == "empty" {
			want, departure = notFoundReply(), "empty-forwarded-for"
		}
		r.check(d.Case, nova, want, ask(t, urls[d.ForwardedFor], "GET", d.Path, h, ""), departure)
	}
	if len(r.more.Direct) != 18 {
		t.Errorf("%d cases", len(r.more.Direct))
	}
	r.done("empty-forwarded-for")
}

// TestReplayExchanges sends what the metadata agent sent, byte for byte, on
// one connection each.
func TestReplayExchanges(t *testing.T) {
	r := newReplay(t)
	f := goldenFixture(t)
	url := serve(t, Options{Instances: f, Passwords: f})
	for _, e := range r.more.Exchanges {
		method, _, _ := strings.Cut(e.Request, " ")
		want := parseReply(t, method, e.Response)
		r.check(e.What, want, want, rawAsk(t, strings.TrimPrefix(url, "http://"), method, e.Request), "")
	}
	if len(r.more.Exchanges) != 7 {
		t.Errorf("%d exchanges", len(r.more.Exchanges))
	}
}

func rawAsk(t *testing.T, address, method, request string) reply {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	return readReply(t, res)
}

// parseReply reads a recorded answer, which ends with the record.
func parseReply(t *testing.T, method, recorded string) reply {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(recorded)), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	return readReply(t, res)
}

type oneToken struct{}

func (oneToken) Token(context.Context, bool) (string, error) { return "<token>", nil }

// TestReplayVendorRequests compares what a dynamic target is asked with what
// Nova asked it. Connection and Host are the client's own matter.
func TestReplayVendorRequests(t *testing.T) {
	r := newReplay(t)
	var mu sync.Mutex
	asked := map[string]string{}
	vendor := goldenVendorTargets(t, func(q *http.Request, body []byte) {
		mu.Lock()
		defer mu.Unlock()
		text := q.Method + " " + q.RequestURI + " " + q.Proto + "\n"
		for _, name := range []string{"User-Agent", "Accept", "Content-Type", "X-Auth-Token", "Content-Length"} {
			text += name + ": " + cmp.Or(q.Header.Get(name), fmt.Sprint(q.ContentLength)) + "\n"
		}
		asked[string(body)] = text
	}, oneToken{})
	f := goldenFixture(t)
	url := serve(t, Options{Instances: f, Vendor: vendor})
	for _, i := range r.golden.Instances {
		ask(t, url, "GET", "/openstack/latest/vendor_data2.json", headersOf(i.Headers), "")
	}
	for _, v := range r.more.Vendor {
		object, err := openstack.ParseVendorData(v.Body)
		if err != nil {
			t.Fatal(err)
		}
		want := v.Request + "\n"
		named := map[string]string{}
		for _, pair := range v.Headers {
			named[pair[0]] = pair[1]
		}
		for _, name := range []string{"User-Agent", "Accept", "Content-Type", "X-Auth-Token", "Content-Length"} {
			want += name + ": " + named[name] + "\n"
		}
		if diff := gocmp.Diff(want, asked[string(object.Encode())]); diff != "" {
			t.Errorf("%s\n-nova +ours\n%s", object.Encode(), diff)
		}
	}
	if len(asked) != len(r.more.Vendor) || len(asked) != 7 {
		t.Errorf("%d requests, want %d: %q", len(asked), len(r.more.Vendor), slices.Collect(maps.Keys(asked)))
	}
}

var _ Passwords = (*Fixture)(nil)
var _ Instances = (*Fixture)(nil)
var _ Instances = (*Index)(nil)
