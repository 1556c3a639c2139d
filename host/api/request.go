package api

import (
	"net/http"

	"imprint/host/cloud"
)

// Request is one request with what the service found out about it.
type Request struct {
	*http.Request
	// ID names the request in the answer's headers and in the log.
	ID string
	// Caller is who asks; zero on routes for [Anyone].
	Caller cloud.Caller
	// Version is the negotiated microversion; zero without microversions.
	Version Version

	service *Service
}

// Link returns the absolute URL of a path of this service, as the client
// reaches it.
func (r *Request) Link(path string) string {
	if r.TLS != nil {
		return "https://" + r.Host + path
	}
	return "http://" + r.Host + path
}

// Query returns the first value of a query parameter and whether it was given.
func (r *Request) Query(name string) (string, bool) {
	v, ok := r.URL.Query()[name]
	if !ok {
		return "", false
	}
	return v[0], true
}
