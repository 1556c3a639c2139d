package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"imprint/host/cloud"
)

// Callers authenticates by a fixed table of tokens.
type Callers map[string]cloud.Caller

// Authenticate returns the caller with that token.
func (c Callers) Authenticate(_ context.Context, token string) (cloud.Caller, error) {
	if caller, ok := c[token]; ok {
		return caller, nil
	}
	return cloud.Caller{}, cloud.Errorf(cloud.Unauthorized, "unknown token")
}

// Client sends requests to a handler.
type Client struct {
	T       testing.TB
	Handler http.Handler
	Header  http.Header // sent with every request
}

// NewClient returns a client with a token.
func NewClient(t testing.TB, h http.Handler, token string) *Client {
	return &Client{T: t, Handler: h, Header: http.Header{"X-Auth-Token": {token}, "Accept": {"application/json"}}}
}

// With returns a copy of c that sends another header too.
func (c *Client) With(name, value string) *Client {
	d := &Client{T: c.T, Handler: c.Handler, Header: c.Header.Clone()}
	d.Header.Set(name, value)
	return d
}

// Answer is what a handler answered.
type Answer struct {
	T      testing.TB
	Status int
	Header http.Header
	Body   []byte
}

// Do sends method and path with a body: nil, a string as it is, or anything
// else as JSON.
func (c *Client) Do(method, path string, body any) *Answer {
	c.T.Helper()
	var text []byte
	switch b := body.(type) {
	case nil:
	case string:
		text = []byte(b)
	default:
		var err error
		if text, err = json.Marshal(b); err != nil {
			c.T.Fatal(err)
		}
	}
	req := httptest.NewRequest(method, "http://cloud.test"+path, bytes.NewReader(text))
	for name, values := range c.Header {
		req.Header[name] = values
	}
	rec := httptest.NewRecorder()
	c.Handler.ServeHTTP(rec, req)
	return &Answer{T: c.T, Status: rec.Code, Header: rec.Result().Header, Body: rec.Body.Bytes()}
}

// Want fails the test unless the status is right, and returns the answer.
func (a *Answer) Want(status int) *Answer {
	a.T.Helper()
	if a.Status != status {
		a.T.Fatalf("status %d, want %d; body %s", a.Status, status, a.Body)
	}
	return a
}

// Says fails the test unless the body contains text.
func (a *Answer) Says(text string) *Answer {
	a.T.Helper()
	if !strings.Contains(string(a.Body), text) {
		a.T.Fatalf("the body does not say %q: %s", text, a.Body)
	}
	return a
}

// JSON decodes the body.
func (a *Answer) JSON() map[string]any {
	a.T.Helper()
	var m map[string]any
	if err := json.Unmarshal(a.Body, &m); err != nil {
		a.T.Fatalf("body %s: %v", a.Body, err)
	}
	return m
}

// Get follows member names and list indices, such as "server.links.0.href",
// and returns nil where there is nothing. A name may contain a colon, but no
// dot.
func (a *Answer) Get(path string) any {
	a.T.Helper()
	var v any = a.JSON()
	for part := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[part]
		case []any:
			i := 0
			for _, r := range part {
				i = i*10 + int(r-'0')
			}
			if i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

// Text is Get for a text.
func (a *Answer) Text(path string) string {
	a.T.Helper()
	s, ok := a.Get(path).(string)
	if !ok {
		a.T.Fatalf("%s is no text in %s", path, a.Body)
	}
	return s
}
