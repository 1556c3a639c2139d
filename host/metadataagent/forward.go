package metadataagent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"imprint/host/cloud"
)

// Bounds of the bodies, in bytes.
const (
	maxRequest = 64 << 10
	maxAnswer  = 8 << 20
)

// errCutShort says that an answer was begun and could not be finished.
var errCutShort = errors.New("answer cut short")

// passedIn and passedOut are all headers that pass, besides those that the
// agent sets itself.
func passedIn() []string { return []string{"Accept", "Content-Type", "If-None-Match"} }

func passedOut() []string {
	return []string{"Content-Type", "Etag", "Retry-After", "Allow", "Cache-Control"}
}

func newTransport(services []string) *http.Transport {
	return &http.Transport{
		DialContext:            (&replicas{addresses: services}).dial,
		DisableCompression:     true,
		MaxIdleConns:           64,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        time.Minute,
		ResponseHeaderTimeout:  15 * time.Second,
		MaxResponseHeaderBytes: maxHeader,
	}
}

// forward passes x to the metadata service and the answer back. Redirects are
// not followed.
func (a *Agent) forward(x *exchange) *refusal {
	body, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxRequest))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return &refusal{status: http.StatusRequestEntityTooLarge, text: "The request is too large."}
	}
	if err != nil {
		x.err = err
		return badRequest("The request could not be read.")
	}
	res, err := a.client.RoundTrip(a.outgoing(x, body))
	if err != nil {
		x.err = err
		return unavailable("The metadata service does not answer.")
	}
	defer res.Body.Close()
	if res.ContentLength > maxAnswer {
		x.err = fmt.Errorf("answer of %d bytes, at most %d", res.ContentLength, maxAnswer)
		return unavailable("The metadata service's answer is too large.")
	}
	x.passBack(res)
	return nil
}

// outgoing is the request to the service. The identity in it comes from the
// look-up alone.
func (a *Agent) outgoing(x *exchange, body []byte) *http.Request {
	in := x.r.URL
	id := cloud.ServerID(x.port.DeviceID)
	out := &http.Request{
		Method: x.r.Method,
		URL:    &url.URL{Scheme: "http", Host: a.config.Services[0], Path: in.Path, RawPath: in.RawPath, RawQuery: in.RawQuery},
		Header: http.Header{"User-Agent": nil},
	}
	if len(body) > 0 {
		out.Body = io.NopCloser(bytes.NewReader(body))
		out.ContentLength = int64(len(body))
	}
	for _, name := range passedIn() {
		if values := x.r.Header.Values(name); len(values) > 0 {
			out.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	out.Header.Set(cloud.HeaderForwardedFor, x.query.addr.String())
	out.Header.Set(cloud.HeaderInstanceID, string(id))
	out.Header.Set(cloud.HeaderTenantID, string(x.port.ProjectID))
	out.Header.Set(cloud.HeaderInstanceSignature, cloud.Signature(a.config.Secret, id))
	out.Header.Set(cloud.HeaderTraceParent, x.parent)
	return out.WithContext(x.r.Context())
}

// passBack streams the answer.
func (x *exchange) passBack(res *http.Response) {
	for _, name := range passedOut() {
		if values := res.Header.Values(name); len(values) > 0 {
			x.w.Header()[name] = values
		}
	}
	if res.ContentLength >= 0 {
		x.w.Header().Set("Content-Length", fmt.Sprint(res.ContentLength))
	}
	x.status = res.StatusCode
	x.w.WriteHeader(res.StatusCode)
	n, err := io.Copy(x.w, io.LimitReader(res.Body, maxAnswer))
	x.bytes = n
	if err == nil && n == maxAnswer && more(res.Body) {
		err = fmt.Errorf("more than %d bytes", maxAnswer)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		err = fmt.Errorf("%w: %w", errCutShort, err)
	}
	x.err = err
}

// more reports whether r has another byte.
func more(r io.Reader) bool {
	var one [1]byte
	n, _ := io.ReadFull(r, one[:])
	return n > 0
}
