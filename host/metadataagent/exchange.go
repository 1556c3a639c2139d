package metadataagent

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"imprint/host/cloud"
)

const (
	maxPathInLog   = 256
	maxMethodInLog = 32
)

// exchange is one request on its way, and what the log tells of it.
type exchange struct {
	w       http.ResponseWriter
	r       *http.Request
	parent  string // Traceparent
	traceID string
	query   query
	body    []byte
	port    cloud.DesiredPort // of the instance, once found
	status  int
	bytes   int64
	err     error // what went wrong beyond the status
}

// ServeHTTP answers one request of the proxy.
func (a *Agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: w, r: r}
	x.parent, x.traceID = traceParent(r.Header.Get(cloud.HeaderTraceParent))
	if f := a.serve(x); f != nil {
		if a.config.NeutronForm {
			f = f.asNeutron()
		}
		x.status, x.bytes = f.status, f.write(w, strings.Join(r.Header.Values("Accept"), ","))
	}
	a.logExchange(x)
	if errors.Is(x.err, errCutShort) {
		panic(http.ErrAbortHandler) // so that the proxy sees that something is missing
	}
}

// serve returns a refusal, or nil when the service's answer was passed on.
func (a *Agent) serve(x *exchange) *refusal {
	known := a.ports()
	if known == nil {
		return unavailable("The metadata agent does not know its ports yet.")
	}
	if x.r.Method == http.MethodConnect || x.r.URL.Path == "" || x.r.URL.Path[0] != '/' {
		return badRequest("The request is not for a path.")
	}
	q, malformed := parseQuery(x.r.Header)
	if malformed != nil {
		return malformed
	}
	x.query = q
	if f := a.gate.spendSender(q.Sender); f != nil {
		return f
	}
	if f := a.identify(x, known); f != nil {
		return f
	}
	if f := a.gate.spend(string(x.port.ID)); f != nil {
		return f
	}
	if f := x.readBody(); f != nil { // before it takes a place: a slow sender waits on its own
		return f
	}
	leave, full := a.gate.enter(cloud.ServerID(x.port.DeviceID))
	if full != nil {
		return full
	}
	defer leave()
	return a.forward(x, known)
}

// ports is where to look, nil before the first slice.
func (a *Agent) ports() Ports {
	if a.config.Ports != nil {
		return a.config.Ports
	}
	if known := a.known.Load(); known != nil {
		return known
	}
	return nil
}

// identify finds the sender's port. Misses count too, by where they come from.
func (a *Agent) identify(x *exchange, known Ports) *refusal {
	port, err := find(x.r.Context(), known, x.query.Sender)
	if err == nil {
		x.port = port
		return nil
	}
	if !errors.Is(err, cloud.ErrNotFound) {
		x.err = err
		return unavailable("The look-up of the instance failed.")
	}
	place := x.query.Place()
	if t, ours := known.(*topology); ours && !t.knows(x.query.Sender) {
		place = "" // one bucket for all that is invented
	}
	if f := a.gate.spend(place); f != nil {
		return f
	}
	return notFound()
}

// forward passes x to the service and the answer back. An instance that the
// service does not know may be a thing of the past: it is looked up again, and
// the service asked for who is there now.
func (a *Agent) forward(x *exchange, known Ports) *refusal {
	res, f := a.ask(x)
	if f != nil {
		return f
	}
	defer func() { finish(res) }()
	if res.StatusCode == http.StatusNotFound && known.Forget(x.query.Sender) {
		before := x.port.DeviceID
		if f := a.identify(x, known); f != nil {
			return f
		}
		if x.port.DeviceID != before {
			again, f := a.ask(x)
			if f != nil {
				return f
			}
			finish(res)
			res = again
		}
	}
	if a.config.NeutronForm {
		return x.passBackAsNeutron(res)
	}
	return x.passBack(res)
}

// logExchange writes a line, unless the port's share of the log is used up.
func (a *Agent) logExchange(x *exchange) {
	if !a.lines.Spend(string(x.port.ID)) {
		return
	}
	attrs := []slog.Attr{
		slog.String("trace_id", x.traceID), slog.String("server_id", x.port.DeviceID), slog.String("port_id", string(x.port.ID)),
		slog.String("router_id", string(x.query.Router)), slog.String("network_id", string(x.query.Network)),
		slog.Any("client", x.query.Addr), slog.String("method", x.r.Method[:min(len(x.r.Method), maxMethodInLog)]),
		slog.String("path", x.r.URL.Path[:min(len(x.r.URL.Path), maxPathInLog)]),
		slog.Int("status", x.status), slog.Int64("bytes", x.bytes),
	}
	if x.err != nil {
		attrs = append(attrs, slog.String("error", x.err.Error()))
	}
	a.log.LogAttrs(x.r.Context(), slog.LevelInfo, "metadata request forwarded", attrs...)
}
