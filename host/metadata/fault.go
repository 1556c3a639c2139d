package metadata

import (
	"fmt"
	"html"
	"net/http"

	"imprint/base/openstack"
)

// fault is an error as the client sees it.
type fault struct {
	status int
	text   string
}

func notFound() *fault {
	return &fault{http.StatusNotFound, "The resource could not be found."}
}

func forbidden() *fault {
	return &fault{http.StatusForbidden, "Invalid proxy request signature."}
}

func badRequest(text string) *fault { return &fault{http.StatusBadRequest, text} }

func unavailable(text string) *fault { return &fault{http.StatusServiceUnavailable, text} }

const faultHTML = `<html>
 <head>
  <title>%[1]s</title>
 </head>
 <body>
  <h1>%[1]s</h1>
  %[2]s<br /><br />



 </body>
</html>`

// answer forms the response as WebOb does (webob/exc.py, 1.8.7): in HTML or
// JSON if Accept wants it, else plain. To HEAD there is no body, and HTML is
// its type.
func (f *fault) answer(method, accept string) answer {
	a := answer{status: f.status, kind: openstack.TypeHTML, retry: f.status == http.StatusServiceUnavailable}
	if method == http.MethodHead {
		return a
	}
	title := http.StatusText(f.status)
	status := fmt.Sprintf("%d %s", f.status, title)
	switch preferred(accept) {
	case "text/html":
		a.body = fmt.Appendf(nil, faultHTML, status, html.EscapeString(f.text))
	case "application/json":
		a.kind = openstack.TypeJSON
		message := html.EscapeString(f.text) + "<br /><br />\n\n\n"
		// Our texts are printable ASCII, which Go and JSON quote alike.
		a.body = fmt.Appendf(nil, `{"message": %q, "code": %q, "title": %q}`, message, status, title)
	default:
		a.kind = openstack.TypeText
		a.body = fmt.Appendf(nil, "%s\n\n%s\n\n   ", status, f.text)
	}
	return a
}
