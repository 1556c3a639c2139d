package metadataagent

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// Neutron's exact form: what neutron-metadata-agent sends to Nova and makes of
// the answers (neutron: agent/metadata/agent.py, 21.0.0; python-requests
// 2.28.1). What it keeps of ours: of several addresses the last counts, an
// unknown router finds nothing, a DHCP port is no instance, and a limit is 429.

// The texts of WebOb (webob/exc.py, 1.8.7) and of Neutron.
const (
	textNotFound   = "The resource could not be found."
	textBadRequest = "The server could not comply with the request since it is either malformed or otherwise incorrect."
	textForbidden  = "Access was denied to this resource."
	textConflict   = "There was a conflict when trying to complete your request."
	textUpstream   = "Remote metadata server experienced an internal server error."
	textUnknown    = "An unknown error has occurred. Please try your request again."
)

// maxRedirects is that of python-requests.
const maxRedirects = 30

// neutronHeaders sets what python-requests sends by itself.
func neutronHeaders(h http.Header) {
	h.Set("User-Agent", "python-requests/2.28.1")
	h.Set("Accept-Encoding", "gzip, deflate")
	h.Set("Accept", "*/*")
	h.Set("Connection", "keep-alive")
}

// newRedirected returns a client that follows redirects, but to the service
// alone: what is signed goes to nobody else.
func newRedirected(t *http.Transport) *http.Client {
	return &http.Client{Transport: t, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		r.Header.Del("Referer") // which python-requests does not send
		if len(via) > maxRedirects {
			return fmt.Errorf("more than %d redirects", maxRedirects)
		}
		if first := via[0].URL; r.URL.Host != first.Host || r.URL.Scheme != first.Scheme {
			return errors.New("redirected to another service")
		}
		return nil
	}}
}

// passBackAsNeutron passes the answer with status 200 on, with its type alone;
// any other becomes an answer of the agent's own.
func (x *exchange) passBackAsNeutron(res *http.Response) *refusal {
	if res.StatusCode != http.StatusOK {
		return neutronRefusal(res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("answer of more than %d bytes", maxAnswer)
	}
	kind := res.Header.Values("Content-Type")
	if err == nil && len(kind) == 0 {
		err = errors.New("answer without a type")
	}
	if err != nil {
		x.err = err
		return neutronRefusal(0)
	}
	x.w.Header()["Content-Type"] = kind
	x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	x.status = http.StatusOK
	n, err := x.w.Write(body)
	x.bytes, x.err = int64(n), err
	return nil
}

// neutronRefusal maps a status of the service's.
func neutronRefusal(status int) *refusal {
	text := map[int]string{
		http.StatusBadRequest: textBadRequest, http.StatusForbidden: textForbidden, http.StatusNotFound: textNotFound,
		http.StatusConflict: textConflict, http.StatusInternalServerError: textUpstream,
	}[status]
	if text == "" {
		return &refusal{status: http.StatusInternalServerError, text: textUnknown}
	}
	return &refusal{status: status, text: text}
}

// asNeutron is what Neutron's agent would answer instead of f.
func (f *refusal) asNeutron() *refusal {
	switch f.neutron {
	case 0:
		return f
	case http.StatusInternalServerError:
		return neutronRefusal(0)
	}
	return neutronRefusal(f.neutron)
}
