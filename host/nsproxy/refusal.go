package nsproxy

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// refusal is an answer of the proxy itself.
type refusal struct {
	status int
	text   string
	retry  bool
	close  bool // what follows on the connection is not to be believed
}

func refuse(status int, text string) *refusal {
	return &refusal{status: status, text: text, close: true}
}

func unavailable(text string) *refusal {
	return &refusal{status: http.StatusServiceUnavailable, text: text, retry: true}
}

// write returns the number of bytes of the body.
func (f *refusal) write(w http.ResponseWriter) int64 {
	body := fmt.Sprintf("%d %s\n\n%s\n\n   ", f.status, http.StatusText(f.status), f.text)
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if f.retry {
		w.Header().Set("Retry-After", "2")
	}
	if f.close {
		w.Header().Set("Connection", "close")
	}
	w.WriteHeader(f.status)
	n, _ := w.Write([]byte(body)) // a client that left is no concern of ours
	return int64(n)
}

// check refuses requests that a metadata client has no reason to send and that
// others might read differently. Malformed heads, several lengths and doubled
// Host headers have not come this far: net/http refuses them. A body must come
// with its length: a chunked one is refused, and with it every request that
// has both (net/http hides the length of those). RFC 9112 6.1, 6.3.
func check(r *http.Request, l Limits) *refusal {
	switch {
	case r.ProtoMajor != 1:
		return refuse(http.StatusHTTPVersionNotSupported, "Only HTTP/1 is spoken here.")
	case r.Method == http.MethodConnect:
		return refuse(http.StatusMethodNotAllowed, "This is no tunnel.")
	case len(r.Method) > maxMethod:
		return refuse(http.StatusNotImplemented, "There is no such method.")
	case len(r.TransferEncoding) > 0 || r.ContentLength < 0:
		return refuse(http.StatusLengthRequired, "A body must come with its length.")
	case r.ContentLength > l.Body:
		return refuse(http.StatusRequestEntityTooLarge, "The body is too large.")
	case len(r.Header.Values("Upgrade")) > 0 || asksToUpgrade(r.Header):
		return refuse(http.StatusBadRequest, "There is nothing to upgrade to.")
	case !goodTarget(r):
		return refuse(http.StatusBadRequest, "The request is not for the metadata service.")
	}
	return nil
}

func asksToUpgrade(h http.Header) bool {
	for _, list := range h.Values("Connection") {
		for name := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.TrimSpace(name), "upgrade") {
				return true
			}
		}
	}
	return false
}

// goodTarget reports whether the request's target is a path, or a URL of the
// metadata service. RFC 9112 3.2.
func goodTarget(r *http.Request) bool {
	if strings.HasPrefix(r.RequestURI, "/") {
		return true
	}
	host, err := netip.ParseAddr(r.URL.Hostname())
	if err != nil || r.URL.Scheme != "http" || r.URL.User != nil || r.URL.Port() != "" && r.URL.Port() != "80" {
		return false
	}
	return slices.Contains(metadataAddrs(), host)
}
