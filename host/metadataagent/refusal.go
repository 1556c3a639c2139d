package metadataagent

import (
	"fmt"
	"net/http"
	"strconv"
)

// refusal is an answer of the agent itself. Its body has the form of Neutron's
// plain one (webob/exc.py).
type refusal struct {
	status     int
	text       string
	retryAfter int // seconds; 0 for none
}

func notFound() *refusal {
	return &refusal{status: http.StatusNotFound, text: "The resource could not be found."}
}

func badRequest(text string) *refusal { return &refusal{status: http.StatusBadRequest, text: text} }

func tooMany(text string) *refusal {
	return &refusal{status: http.StatusTooManyRequests, text: text, retryAfter: 1}
}

func unavailable(text string) *refusal {
	return &refusal{status: http.StatusServiceUnavailable, text: text, retryAfter: 2}
}

// write returns the number of bytes of the body.
func (f *refusal) write(w http.ResponseWriter) int64 {
	body := fmt.Sprintf("%d %s\n\n%s\n\n   ", f.status, http.StatusText(f.status), f.text)
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if f.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.retryAfter))
	}
	w.WriteHeader(f.status)
	n, _ := w.Write([]byte(body)) // a client that left is no concern of ours
	return int64(n)
}
