package metadataagent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"imprint/host/cloud"
)

// Bounds of the bodies, in bytes.
const (
	maxRequest = 64 << 10
	maxAnswer  = 8 << 20
	maxRest    = 16 << 10 // read for the connection's sake
)

// errCutShort says that an answer was begun and could not be finished.
var errCutShort = errors.New("answer cut short")

// Headers of session tokens, by the names that EC2's clients use.
const (
	headerToken    = "X-Aws-Ec2-Metadata-Token"
	headerTokenTTL = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
)

// passedIn and passedOut are all headers that pass, besides those that the
// agent sets itself.
func passedIn() []string {
	return []string{"Accept", "Content-Type", "If-None-Match", headerToken, headerTokenTTL}
}

func passedOut() []string {
	return []string{"Content-Type", "Etag", "Retry-After", "Allow", "Cache-Control", headerTokenTTL}
}

func newTransport(c Config) *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:        c.TLS,
		DisableCompression:     true,
		MaxIdleConns:           64,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        time.Minute,
		ResponseHeaderTimeout:  15 * time.Second,
		MaxResponseHeaderBytes: maxHeader,
	}
}

// readBody reads what the instance sends.
func (x *exchange) readBody() *refusal {
	body, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxRequest))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return &refusal{status: http.StatusRequestEntityTooLarge, text: "The request is too large."}
	}
	if err != nil {
		x.err = err
		return badRequest("The request could not be read.")
	}
	x.body = body
	return nil
}

// ask sends x to the metadata service. Redirects are not followed, but in
// Neutron's form.
func (a *Agent) ask(x *exchange) (*http.Response, *refusal) {
	send := a.transport.RoundTrip
	if a.config.NeutronForm {
		send = a.redirected.Do
	}
	res, err := a.askReplicas(x, send)
	if err != nil {
		x.err = err
		return nil, unavailable("The metadata service does not answer.")
	}
	if err := decode(res); err != nil {
		res.Body.Close()
		x.err = err
		return nil, unavailable("The metadata service's answer is not readable.")
	}
	return res, nil
}

// askReplicas asks one replica, and the next when that one is away.
func (a *Agent) askReplicas(x *exchange, send func(*http.Request) (*http.Response, error)) (res *http.Response, err error) {
	order := a.services.order(time.Now())
	for i, address := range order {
		res, err = send(a.outgoing(x, address))
		if x.r.Context().Err() != nil {
			return res, err
		}
		answered := err == nil && res.StatusCode != http.StatusServiceUnavailable
		a.services.note(address, answered, time.Now())
		if answered || i == len(order)-1 || !errors.Is(err, syscall.ECONNREFUSED) && !repeatable(x.r) {
			return res, err
		}
		if err == nil {
			res.Body.Close()
		}
	}
	return res, err
}

// outgoing is the request to the service. The identity in it comes from the
// look-up alone.
func (a *Agent) outgoing(x *exchange, service string) *http.Request {
	in := x.r.URL
	id := cloud.ServerID(x.port.DeviceID)
	out := &http.Request{
		Method: x.r.Method,
		URL:    &url.URL{Scheme: a.scheme(), Host: service, Path: in.Path, RawPath: in.RawPath, RawQuery: in.RawQuery},
		Header: http.Header{"User-Agent": nil}, // or the client adds its own
	}
	if len(x.body) > 0 {
		out.ContentLength = int64(len(x.body))
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(x.body)), nil }
		out.Body, _ = out.GetBody()
	}
	if a.config.NeutronForm {
		neutronHeaders(out.Header)
	} else {
		for _, name := range passedIn() {
			if values := x.r.Header.Values(name); len(values) > 0 {
				out.Header[name] = values
			}
		}
		out.Header.Set(cloud.HeaderTraceParent, x.parent)
	}
	out.Header.Set(cloud.HeaderForwardedFor, x.query.forwarded)
	out.Header.Set(cloud.HeaderInstanceID, string(id))
	out.Header.Set(cloud.HeaderTenantID, string(x.port.ProjectID))
	out.Header.Set(cloud.HeaderInstanceSignature, cloud.Signature(a.config.Secret, id))
	return out.WithContext(x.r.Context())
}

func (a *Agent) scheme() string {
	if a.config.TLS != nil {
		return "https"
	}
	return "http"
}

// passBack streams the answer.
func (x *exchange) passBack(res *http.Response) *refusal {
	if res.ContentLength > maxAnswer {
		x.err = fmt.Errorf("answer of %d bytes, at most %d", res.ContentLength, maxAnswer)
		return unavailable("The metadata service's answer is too large.")
	}
	for _, name := range passedOut() {
		if values := res.Header.Values(name); len(values) > 0 {
			x.w.Header()[name] = values
		}
	}
	if res.ContentLength >= 0 {
		x.w.Header().Set("Content-Length", strconv.FormatInt(res.ContentLength, 10))
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
	return nil
}

// more reports whether r has another byte.
func more(r io.Reader) bool {
	var one [1]byte
	n, _ := io.ReadFull(r, one[:])
	return n > 0
}

// finish closes an answer. What is left of a small one is read first, so that
// its connection can serve again.
func finish(res *http.Response) {
	io.CopyN(io.Discard, res.Body, maxRest) // at worst the connection is closed
	res.Body.Close()
}
