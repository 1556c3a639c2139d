package api

import (
	"errors"
	"net/http"

	"imprint/host/cloud"
)

// StatusError is an error whose status has no [cloud.Kind], such as 406.
type StatusError struct {
	Status int
	Text   string // for the client
	Reason string // in the dialect's words, may be empty
	Header http.Header
}

func (e *StatusError) Error() string { return e.Text }

var errUnauthorized = cloud.Errorf(cloud.Unauthorized, "The request you have made requires authentication.")

// statusOf says what a kind of error is over HTTP. All four dialects agree;
// what differs has a [StatusError].
func statusOf(k cloud.Kind) int {
	switch k {
	case cloud.Invalid:
		return http.StatusBadRequest
	case cloud.Unauthorized:
		return http.StatusUnauthorized
	case cloud.Forbidden:
		return http.StatusForbidden
	case cloud.NotFound:
		return http.StatusNotFound
	case cloud.Conflict:
		return http.StatusConflict
	case cloud.Unavailable:
		return http.StatusServiceUnavailable
	case cloud.TooLarge:
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusInternalServerError
}

// problemOf says what the client is told about err. The text of an internal
// error stays in the log.
func problemOf(err error, requestID string) (Problem, http.Header) {
	if e, ok := errors.AsType[*StatusError](err); ok {
		return Problem{Status: e.Status, Text: e.Text, Reason: e.Reason}, e.Header
	}
	if e, ok := errors.AsType[*cloud.Error](err); ok && e.Kind != cloud.Internal {
		return Problem{Status: statusOf(e.Kind), Text: e.Text, Reason: e.Reason}, nil
	}
	return Problem{Status: http.StatusInternalServerError,
		Text: "An unexpected error occurred. The request's id is " + requestID + "."}, nil
}

func (s *Service) refuse(r *Request, err error) Response {
	p, header := problemOf(err, r.ID)
	res := Response{Status: p.Status, Header: http.Header{}}
	for name, values := range header {
		res.Header[name] = values
	}
	if p.Status == http.StatusUnauthorized {
		res.Header.Set("Www-Authenticate", `Keystone uri="`+s.options.AuthURL+`"`)
		return rawBody(res, "application/json", keystoneBody(p))
	}
	ctype, body := s.options.Dialect.Body(r.Request, p)
	return rawBody(res, ctype, body)
}
