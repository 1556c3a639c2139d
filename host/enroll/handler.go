package enroll

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"imprint/host/cloud"
)

// readTimeout bounds how long a body may take to come.
const readTimeout = 10 * time.Second

// Handler serves nodes over TLS with the settings of [Identity.EnrollConfig]:
// POST /enroll gives a certificate for a token, POST /renew one for the
// certificate that the connection is under. What the request for the
// certificate says of its owner means nothing.
func (a *Authority) Handler() http.Handler {
	d := &desk{authority: a, limits: newLimits(a.options.Now), seldom: &rate.Sometimes{First: 10, Interval: time.Second}}
	mux := http.NewServeMux()
	mux.Handle("POST /enroll", d.guard(d.enroll))
	mux.Handle("POST /renew", d.guard(d.renew))
	return mux
}

// desk is where nodes come for their certificates.
type desk struct {
	authority *Authority
	limits    *limits
	seldom    *rate.Sometimes // strangers must not fill the log
}

// guard answers for f, within limits.
func (d *desk) guard(f func(*http.Request, []byte) ([]byte, Peer, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		der, peer, err := d.serve(w, r, f)
		if err != nil {
			d.refuse(w, r, err)
			return
		}
		a := d.authority
		a.options.Log.Info("certificate issued", "peer", peer.String(), "node_roles", peer.Roles, "way", r.URL.Path, "remote", r.RemoteAddr)
		answer(w, http.StatusOK, reply{string(encode(blockCert, der)), string(encode(blockCert, a.cert.Raw))})
	})
}

func (d *desk) serve(w http.ResponseWriter, r *http.Request, f func(*http.Request, []byte) ([]byte, Peer, error)) ([]byte, Peer, error) {
	if r.TLS == nil {
		return nil, Peer{}, cloud.Errorf(cloud.Forbidden, "certificates are given out over TLS only")
	}
	if !d.limits.allow(networkOf(r.RemoteAddr)) {
		return nil, Peer{}, errBusy
	}
	body, err := readBody(w, r)
	if err != nil {
		return nil, Peer{}, err
	}
	leave, ok := d.limits.enter(r.Context())
	if !ok {
		return nil, Peer{}, errBusy
	}
	defer leave()
	return f(r, body)
}

var errBusy = &cloud.Error{Kind: cloud.Unavailable, Text: "too many requests; try again later"}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	// A test's recorder has no deadlines; every connection has.
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(readTimeout))
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, cloud.Errorf(cloud.TooLarge, "the request has more than %d bytes", maxRequest)
	}
	if err != nil {
		return nil, cloud.Errorf(cloud.Invalid, "the request did not come whole")
	}
	return body, nil
}

func (d *desk) enroll(_ *http.Request, body []byte) ([]byte, Peer, error) {
	text, key, err := parseRequest(body)
	if err != nil {
		return nil, Peer{}, err
	}
	token, err := ParseToken(text)
	if err != nil {
		return nil, Peer{}, cloud.Errorf(cloud.Invalid, "%v", err)
	}
	return d.authority.redeem(token, key)
}

func (d *desk) renew(r *http.Request, body []byte) ([]byte, Peer, error) {
	if _, err := PeerOf(*r.TLS); err != nil {
		return nil, Peer{}, cloud.Errorf(cloud.Forbidden, "a renewal needs the certificate that it is for")
	}
	if _, err := d.authority.revoked.Check(*r.TLS); err != nil {
		return nil, Peer{}, err
	}
	_, key, err := parseRequest(body)
	if err != nil {
		return nil, Peer{}, err
	}
	return d.authority.renew(r.TLS.VerifiedChains[0][0], key)
}

// refuse tells the client what it may know of err, and the log the rest.
func (d *desk) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, text := http.StatusInternalServerError, "internal error"
	switch cloud.KindOf(err) {
	case cloud.Invalid:
		status = http.StatusBadRequest
	case cloud.Forbidden:
		status = http.StatusForbidden
	case cloud.TooLarge:
		status = http.StatusRequestEntityTooLarge
	case cloud.Unavailable:
		status = http.StatusTooManyRequests
		w.Header().Set("Retry-After", "1")
	}
	var known *cloud.Error
	if errors.As(err, &known) {
		text = known.Text
	}
	d.seldom.Do(func() {
		d.authority.options.Log.Warn("certificate refused", "way", r.URL.Path, "remote", r.RemoteAddr, "status", status, "error", err)
	})
	answer(w, status, failure{text})
}

func answer(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil { // texts alone: they have a form in JSON
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // who has gone is told nothing
}
