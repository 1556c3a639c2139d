package api

import (
	"bytes"
	"html"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Problem is an error as a client is told of it.
type Problem struct {
	Status int
	Text   string
	Reason string // the dialect's own name for it; may be empty
}

// Dialect is one service's way to speak of errors.
type Dialect struct {
	// Body renders an error.
	Body func(*http.Request, Problem) (contentType string, body []byte)
	// Invalid words a field of a request that breaks a rule.
	Invalid func(field, reason string) string
	// RequestIDs are the headers that carry the request's id, canonical.
	RequestIDs []string
}

// Nova speaks as api/openstack/wsgi.py class Fault does, 26.2.2.
func Nova() Dialect {
	return Dialect{
		Body: func(_ *http.Request, p Problem) (string, []byte) {
			return "application/json; charset=UTF-8", novaBody(p)
		},
		Invalid:    func(f, r string) string { return "Invalid input for field/attribute " + f + ". " + r },
		RequestIDs: []string{"X-Openstack-Request-Id", "X-Compute-Request-Id"},
	}
}

// Neutron speaks as api/api_common.py and neutron_lib/exceptions do, 21.0.0.
func Neutron() Dialect {
	return Dialect{
		Body:       func(_ *http.Request, p Problem) (string, []byte) { return "application/json", neutronBody(p) },
		Invalid:    func(f, r string) string { return "Invalid input for " + f + ". Reason: " + r },
		RequestIDs: []string{"X-Openstack-Request-Id"},
	}
}

// Keystone speaks as server/flask/application.py does, 22.0.2.
func Keystone() Dialect {
	return Dialect{
		Body:       func(_ *http.Request, p Problem) (string, []byte) { return "application/json", keystoneBody(p) },
		Invalid:    func(f, r string) string { return "Invalid input for field '" + f + "': " + r },
		RequestIDs: []string{"X-Openstack-Request-Id"},
	}
}

// Glance answers what WebOb makes of the Accept header, as Glance 25.1.0 does.
func Glance() Dialect {
	return Dialect{
		Body:       webobBody,
		Invalid:    func(f, r string) string { return "Invalid value for '" + f + "': " + r },
		RequestIDs: []string{"X-Openstack-Request-Id"},
	}
}

// novaFault names a status as Nova's Fault._fault_names does.
func novaFault(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "badRequest"
	case http.StatusUnauthorized:
		return "unauthorized"
	case http.StatusForbidden:
		return "forbidden"
	case http.StatusNotFound:
		return "itemNotFound"
	case http.StatusMethodNotAllowed:
		return "badMethod"
	case http.StatusConflict:
		return "conflictingRequest"
	case http.StatusRequestEntityTooLarge, http.StatusTooManyRequests:
		return "overLimit"
	case http.StatusUnsupportedMediaType:
		return "badMediaType"
	case http.StatusNotImplemented:
		return "notImplemented"
	case http.StatusServiceUnavailable:
		return "serviceUnavailable"
	}
	return "computeFault"
}

func novaBody(p Problem) []byte {
	return mustJSON(Document{{novaFault(p.Status), Document{{"code", p.Status}, {"message", p.Text}}}})
}

func neutronBody(p Problem) []byte {
	reason := p.Reason
	if reason == "" {
		reason = "HTTP" + strings.ReplaceAll(http.StatusText(p.Status), " ", "")
	}
	return mustJSON(Document{{"NeutronError", Document{{"type", reason}, {"message", p.Text}, {"detail", ""}}}})
}

func keystoneBody(p Problem) []byte {
	return mustJSON(Document{{"error", Document{{"code", p.Status}, {"message", p.Text}, {"title", http.StatusText(p.Status)}}}})
}

func webobBody(r *http.Request, p Problem) (string, []byte) {
	status := strconv.Itoa(p.Status) + " " + http.StatusText(p.Status)
	accept := r.Header.Get("Accept")
	switch {
	case strings.Contains(accept, "html") || strings.Contains(accept, "*/*"):
		return "text/html; charset=UTF-8", []byte("<html>\n <head>\n  <title>" + status + "</title>\n </head>\n <body>\n  <h1>" +
			status + "</h1>\n  " + html.EscapeString(p.Text) + "<br /><br />\n\n\n\n </body>\n</html>")
	case strings.Contains(accept, "application/json"):
		return "application/json", mustJSON(Document{{"message", html.EscapeString(p.Text) + "<br /><br />\n\n\n"},
			{"code", status}, {"title", http.StatusText(p.Status)}})
	}
	return "text/plain; charset=UTF-8", []byte(status + "\n\n" + p.Text + "\n\n   ")
}

// mustJSON encodes a document of plain texts and numbers, which cannot fail.
func mustJSON(d Document) []byte {
	b, err := encode(d)
	if err != nil {
		panic(err)
	}
	return b
}

func rawBody(res Response, ctype string, body []byte) Response {
	res.Raw, res.ContentType, res.Length = io.NopCloser(bytes.NewReader(body)), ctype, int64(len(body))
	return res
}
