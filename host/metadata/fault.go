package metadata

import (
	"fmt"
	"html"
	"net/http"

	"imprint/base/openstack"
	"imprint/host/cloud"
)

// fault is an error as the client sees it.
type fault struct {
	status int
	text   string
	reason string // for the metrics, of a small set
}

func notFound(reason string) *fault {
	return &fault{http.StatusNotFound, "The resource could not be found.", reason}
}

func forbidden(reason string) *fault {
	return &fault{http.StatusForbidden, "Invalid proxy request signature.", reason}
}

func badRequest(reason, text string) *fault { return &fault{http.StatusBadRequest, text, reason} }

// conflict has WebOb's own words for the status (webob/exc.py, 1.8.7).
func conflict(reason string) *fault {
	return &fault{http.StatusConflict, "There was a conflict when trying to complete your request.", reason}
}

func unavailable(reason, text string) *fault {
	return &fault{http.StatusServiceUnavailable, text, reason}
}

// faultOf is what a client is told of an error of a look-up: what is wrong
// with its request, that it may try again, or that there is nothing.
func faultOf(reason string, err error) *fault {
	switch cloud.KindOf(err) {
	case cloud.Unavailable:
		return unavailable("not loaded", err.Error())
	case cloud.Invalid:
		return badRequest(reason, err.Error())
	}
	return notFound(reason)
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

// document forms the response as WebOb does (webob/exc.py, 1.8.7): in HTML or
// JSON if Accept wants it, else plain. To HEAD there is no body, and HTML is
// its type.
func (f *fault) document(method, accept string) openstack.Document {
	d := openstack.Document{Type: openstack.TypeHTML}
	if method == http.MethodHead {
		return d
	}
	title := http.StatusText(f.status)
	status := fmt.Sprintf("%d %s", f.status, title)
	switch preferred(accept) {
	case "text/html":
		d.Body = fmt.Appendf(nil, faultHTML, status, html.EscapeString(f.text))
	case "application/json":
		d.Type = openstack.TypeJSON
		message := html.EscapeString(f.text) + "<br /><br />\n\n\n"
		d.Body = fmt.Appendf(nil, `{"message": %s, "code": %q, "title": %q}`, openstack.Quote(message), status, title)
	default:
		d.Type = openstack.TypeText
		d.Body = fmt.Appendf(nil, "%s\n\n%s\n\n   ", status, f.text)
	}
	return d
}
