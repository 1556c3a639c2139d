package metadataagent

import (
	"fmt"
	"html"
	"net/http"
	"strconv"
)

// refusal is an answer of the agent itself.
type refusal struct {
	status     int
	text       string
	retryAfter int // seconds; 0 for none
	neutron    int // the status in Neutron's form, if another
}

func notFound() *refusal {
	return &refusal{status: http.StatusNotFound, text: textNotFound}
}

func badRequest(text string) *refusal {
	return &refusal{status: http.StatusBadRequest, text: text, neutron: http.StatusInternalServerError}
}

func severalIDs() *refusal {
	return &refusal{status: http.StatusBadRequest, text: "The request carries several router or network ids.", neutron: http.StatusNotFound}
}

func tooMany(text string, retryAfter int) *refusal {
	return &refusal{status: http.StatusTooManyRequests, text: text, retryAfter: retryAfter}
}

func unavailable(text string) *refusal {
	return &refusal{status: http.StatusServiceUnavailable, text: text, retryAfter: 2, neutron: http.StatusInternalServerError}
}

const faultHTML = `<html>
 <head>
  <title>%[1]s</title>
 </head>
 <body>
  <h1>%[1]s</h1>
  %[2]s<br /><br />



 </body>
</html>`

// write answers as WebOb does (webob/exc.py, 1.8.7): in HTML or JSON if
// accept wants it, else plain. It returns the number of bytes of the body.
func (f *refusal) write(w http.ResponseWriter, accept string) int64 {
	status := fmt.Sprintf("%d %s", f.status, http.StatusText(f.status))
	kind, body := preferred(accept), ""
	switch kind {
	case "text/html":
		kind, body = "text/html; charset=UTF-8", fmt.Sprintf(faultHTML, status, html.EscapeString(f.text))
	case "application/json":
		// Our texts are printable ASCII, which Go and JSON quote alike.
		message := html.EscapeString(f.text) + "<br /><br />\n\n\n"
		body = fmt.Sprintf(`{"message": %q, "code": %q, "title": %q}`, message, status, http.StatusText(f.status))
	default:
		kind, body = "text/plain; charset=UTF-8", fmt.Sprintf("%s\n\n%s\n\n   ", status, f.text)
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if f.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.retryAfter))
	}
	w.WriteHeader(f.status)
	n, _ := w.Write([]byte(body)) // a client that left is no concern of ours
	return int64(n)
}
