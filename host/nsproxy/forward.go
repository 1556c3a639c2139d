package nsproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"imprint/host/cloud"
)

const (
	maxPathInLog = 256
	maxMethod    = 32
)

// errCutShort says that an answer was begun and could not be finished.
var errCutShort = errors.New("answer cut short")

type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

func newTransport(socket string, l Limits) *http.Transport {
	dialer := net.Dialer{Timeout: 3 * time.Second}
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		},
		DisableCompression:     true,
		MaxConnsPerHost:        l.Requests,
		MaxIdleConns:           64,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        time.Minute,
		ResponseHeaderTimeout:  l.AgentTime,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// exchange is one request on its way, and what the log tells of it.
type exchange struct {
	w       http.ResponseWriter
	r       *http.Request
	conn    *conn
	traceID string
	status  int
	bytes   int64
	err     error // what went wrong beyond the status
}

// ServeHTTP answers one request of an instance.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: w, r: r, conn: r.Context().Value(connKey{}).(*conn), traceID: cloud.NewTraceID()}
	if p.given.Load() {
		w.Header().Set("Connection", "close") // the next request is for the successor
	}
	if f := p.answer(x); f != nil {
		x.status, x.bytes = f.status, f.write(w)
	}
	p.logExchange(x)
	if errors.Is(x.err, errCutShort) {
		panic(http.ErrAbortHandler) // so that the instance sees that something is missing
	}
}

// answer returns a refusal, or nil when the agent's answer was passed on. The
// body is read before the request counts: a slow client waits on its own.
func (p *Proxy) answer(x *exchange) *refusal {
	if f := check(x.r, p.limits); f != nil {
		return f
	}
	body, err := io.ReadAll(io.LimitReader(x.r.Body, p.limits.Body))
	if err != nil {
		x.err = err
		return refuse(http.StatusBadRequest, "The body could not be read.")
	}
	if f := x.conn.way.begin(x.r.Context(), x.conn.client, p.limits); f != nil {
		return f
	}
	defer x.conn.way.end(x.conn.client)
	select {
	case p.requests <- struct{}{}:
		defer func() { <-p.requests }()
	default:
		return unavailable("Too many requests are under way.")
	}
	return p.forward(x, body)
}

func (p *Proxy) forward(x *exchange, body []byte) *refusal {
	res, err := p.agent.RoundTrip(x.outgoing(body))
	if err != nil {
		x.err = err
		return unavailable("The metadata agent does not answer.")
	}
	defer res.Body.Close()
	x.passBack(res, p.limits.Answer)
	return nil
}

// outgoing is the request to the agent.
func (x *exchange) outgoing(body []byte) *http.Request {
	in := x.r.URL
	out := &http.Request{
		Method: x.r.Method,
		URL:    &url.URL{Scheme: "http", Host: "metadata", Path: in.Path, RawPath: in.RawPath, RawQuery: in.RawQuery},
		Header: passedOn(x.r.Header),
	}
	if len(body) > 0 {
		out.ContentLength = int64(len(body))
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		out.Body, _ = out.GetBody()
	}
	out.Header.Set(cloud.HeaderForwardedFor, x.conn.addr.String())
	out.Header.Set(x.conn.way.header, x.conn.way.id)
	out.Header.Set(cloud.HeaderTraceParent, cloud.TraceParent(x.traceID))
	return out.WithContext(x.r.Context())
}

// passBack streams the agent's answer.
func (x *exchange) passBack(res *http.Response, limit int64) {
	passBack(x.w.Header(), res.Header)
	x.status = res.StatusCode
	x.w.WriteHeader(res.StatusCode)
	n, err := io.Copy(x.w, io.LimitReader(res.Body, limit))
	x.bytes = n
	if err == nil && n == limit {
		err = fmt.Errorf("answer of %d bytes or more", limit)
	}
	if err != nil {
		x.err = fmt.Errorf("%w: %w", errCutShort, err)
	}
}

// logExchange writes a line, unless the way's share of the log is used up; the
// next line then says how many are missing.
func (p *Proxy) logExchange(x *exchange) {
	way := x.conn.way
	if !way.lines.Allow() {
		way.suppressed.Add(1)
		return
	}
	attrs := []slog.Attr{
		slog.String("trace_id", x.traceID), slog.String("netns", way.key), slog.Any("client", x.conn.addr),
		slog.String("method", x.r.Method), slog.String("path", x.r.URL.Path[:min(len(x.r.URL.Path), maxPathInLog)]),
		slog.Int("status", x.status), slog.Int64("bytes", x.bytes),
	}
	if n := way.suppressed.Swap(0); n > 0 {
		attrs = append(attrs, slog.Int64("suppressed", n))
	}
	if x.err != nil {
		attrs = append(attrs, slog.String("error", x.err.Error()))
	}
	p.log.LogAttrs(x.r.Context(), slog.LevelInfo, "metadata request taken", attrs...)
}
