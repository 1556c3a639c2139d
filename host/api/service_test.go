package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"imprint/host/api"
	"imprint/host/api/apitest"
	"imprint/host/cloud"
)

func service(log io.Writer, routes ...api.Route) *api.Service {
	return api.New(api.Options{Name: "compute", Dialect: api.Nova(), Log: textLogger(log), AuthURL: "http://id/v3",
		Auth: apitest.Callers{
			"admin":    {UserID: "u", ProjectID: "p", Roles: []string{"admin"}},
			"unscoped": {UserID: "u"},
		},
		Microversions: &api.Microversions{Service: "compute", Legacy: "X-OpenStack-Nova-API-Version",
			Min: api.Version{Major: 2, Minor: 1}, Max: api.Version{Major: 2, Minor: 93}},
	}, routes)
}

func answer(err error) func(*api.Request) (api.Response, error) {
	return func(*api.Request) (api.Response, error) { return api.Response{}, err }
}

func TestErrors(t *testing.T) {
	internal := errors.New("the password of the database is 1234")
	for name, c := range map[string]struct {
		err    error
		status int
		says   string
	}{
		"invalid":     {cloud.Errorf(cloud.Invalid, "bad"), 400, `{"badRequest":{"code":400,"message":"bad"}}`},
		"forbidden":   {cloud.Errorf(cloud.Forbidden, "no"), 403, `{"forbidden":{"code":403,"message":"no"}}`},
		"not found":   {fmt.Errorf("wrapped: %w", cloud.Errorf(cloud.NotFound, "gone")), 404, `{"itemNotFound":{"code":404,"message":"gone"}}`},
		"conflict":    {cloud.Errorf(cloud.Conflict, "taken"), 409, `{"conflictingRequest":{"code":409,"message":"taken"}}`},
		"too large":   {cloud.Errorf(cloud.TooLarge, "big"), 413, `{"overLimit":{"code":413,"message":"big"}}`},
		"unavailable": {cloud.Errorf(cloud.Unavailable, "later"), 503, `{"serviceUnavailable":{"code":503,"message":"later"}}`},
		"own status":  {&api.StatusError{Status: 501, Text: "not here"}, 501, `{"notImplemented":{"code":501,"message":"not here"}}`},
		"internal":    {internal, 500, `{"computeFault":{"code":500,"message":"An unexpected error occurred. The request's id is req-`},
		"of kind 0":   {cloud.Errorf(cloud.Internal, "secret"), 500, `An unexpected error occurred.`},
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			s := service(&log, api.Route{Pattern: "GET /x", Do: answer(c.err)})
			a := apitest.NewClient(t, s, "admin").Do("GET", "/x", nil).Want(c.status).Says(c.says)
			if strings.Contains(string(a.Body), "1234") || strings.Contains(string(a.Body), "secret") {
				t.Errorf("the client sees the internals: %s", a.Body)
			}
			id := a.Header.Get("X-Compute-Request-Id")
			if !strings.HasPrefix(id, "req-") || a.Header.Get("X-Openstack-Request-Id") != id || !strings.Contains(log.String(), id) {
				t.Errorf("request id %q; log %s", id, log.String())
			}
		})
	}
}

func TestPanicBecomes500(t *testing.T) {
	var log strings.Builder
	s := service(&log, api.Route{Pattern: "GET /x", Do: func(*api.Request) (api.Response, error) { panic("oops") }})
	a := apitest.NewClient(t, s, "admin").Do("GET", "/x", nil).Want(500).Says("req-")
	if strings.Contains(string(a.Body), "oops") || !strings.Contains(log.String(), "oops") {
		t.Errorf("body %s, log %s", a.Body, log.String())
	}
}

func TestAdmission(t *testing.T) {
	ok := func(*api.Request) (api.Response, error) { return api.Done(204) }
	s := service(io.Discard, api.Route{Pattern: "GET /scoped", Do: ok}, api.Route{Pattern: "GET /token", Do: ok, Access: api.Token},
		api.Route{Pattern: "GET /anyone", Do: ok, Access: api.Anyone})
	for _, c := range []struct {
		token, path string
		status      int
	}{
		{"admin", "/scoped", 204}, {"unscoped", "/scoped", 403}, {"", "/scoped", 401}, {"wrong", "/scoped", 401},
		{"unscoped", "/token", 204}, {"", "/token", 401}, {"", "/anyone", 204}, {"wrong", "/anyone", 204},
		{"admin", "/nosuch", 404}, {"admin", "//scoped", 404},
	} {
		a := apitest.NewClient(t, s, c.token).Do("GET", c.path, nil).Want(c.status)
		if c.status == 401 && a.Header.Get("Www-Authenticate") != `Keystone uri="http://id/v3"` {
			t.Errorf("%s: %v", c.path, a.Header)
		}
	}
	if a := apitest.NewClient(t, s, "admin").Do("POST", "/scoped", nil).Want(405); a.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("Allow %q", a.Header.Get("Allow"))
	}
}

func TestMicroversions(t *testing.T) {
	s := service(io.Discard, api.Route{Pattern: "GET /x", Do: func(r *api.Request) (api.Response, error) { return api.OK(r.Version.String()) }})
	for _, c := range []struct {
		standard, legacy string
		status           int
		says             string
	}{
		{"", "", 200, `"2.1"`},
		{"", "2.10", 200, `"2.10"`},
		{"compute 2.92", "2.10", 200, `"2.92"`},
		{"volume 3.1, compute 2.5", "", 200, `"2.5"`},
		{"volume 3.1", "2.10", 200, `"2.10"`},
		{"compute latest", "", 200, `"2.93"`},
		{"compute 2.94", "", 406, "Version 2.94 is not supported by the API. Minimum is 2.1 and maximum is 2.93."},
		{"compute 2.0", "", 406, "2.0"},
		{"compute 3.1", "", 406, "3.1"},
		{"compute 2.01", "", 400, "invalid format"},
		{"", "x", 400, "invalid format"},
	} {
		client := apitest.NewClient(t, s, "admin").With("OpenStack-API-Version", c.standard).With("X-OpenStack-Nova-API-Version", c.legacy)
		a := client.Do("GET", "/x", nil).Want(c.status).Says(c.says)
		if used := strings.Trim(string(a.Body), `"`); c.status == 200 &&
			(a.Header.Get("X-Openstack-Nova-Api-Version") != used || a.Header.Get("Openstack-Api-Version") != "compute "+used || len(a.Header["Vary"]) != 2) {
			t.Errorf("%+v: %v", c, a.Header)
		}
	}
}

func TestDialects(t *testing.T) {
	err := &cloud.Error{Kind: cloud.Conflict, Text: "in <use>", Reason: "PortInUse"}
	for name, c := range map[string]struct {
		dialect api.Dialect
		accept  string
		want    string
	}{
		"neutron":     {api.Neutron(), "", `{"NeutronError":{"type":"PortInUse","message":"in <use>","detail":""}}`},
		"keystone":    {api.Keystone(), "", `{"error":{"code":409,"message":"in <use>","title":"Conflict"}}`},
		"glance text": {api.Glance(), "", "409 Conflict\n\nin <use>\n\n   "},
		"glance html": {api.Glance(), "*/*", "<h1>409 Conflict</h1>\n  in &lt;use&gt;<br />"},
		"glance json": {api.Glance(), "application/json", `"code":"409 Conflict","title":"Conflict"}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := api.New(api.Options{Dialect: c.dialect}, []api.Route{{Pattern: "GET /x", Do: answer(err), Access: api.Anyone}})
			apitest.NewClient(t, s, "").With("Accept", c.accept).Do("GET", "/x", nil).Want(409).Says(c.want)
		})
	}
}

func TestBodyLimit(t *testing.T) {
	s := service(io.Discard, api.Route{Pattern: "POST /x", Do: func(r *api.Request) (api.Response, error) {
		_, err := r.Object("")
		return api.Response{}, err
	}})
	body := `{"a":"` + strings.Repeat("x", api.MaxBody) + `"}`
	apitest.NewClient(t, s, "admin").Do("POST", "/x", body).Want(413).Says("overLimit")
}

func TestRun(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started, release := make(chan struct{}), make(chan struct{})
	s := service(io.Discard, api.Route{Pattern: "GET /slow", Access: api.Anyone, Do: func(*api.Request) (api.Response, error) {
		close(started)
		<-release
		return api.OK("done")
	}})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- api.Run(ctx, l, s, time.Minute, nil) }()
	got := make(chan string, 1)
	go func() {
		res, err := http.Get("http://" + l.Addr().String() + "/slow")
		if err != nil {
			got <- err.Error()
			return
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		got <- string(b)
	}()
	<-started
	stop()
	close(release)
	if body := <-got; body != `"done"` {
		t.Errorf("the request under way got %s", body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
