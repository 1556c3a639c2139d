package metadata

import (
	"io"
	"net/http"
)

// maxPassword is what Nova keeps: four pieces of 255 bytes.
// nova: api/metadata/password.py.
const maxPassword = 1020

// password says what becomes of a request for the password document. It reads
// as unset. Setting it to nothing succeeds; to anything else is refused,
// because nothing here would keep it.
func password(r *http.Request) *fault {
	switch r.Method {
	case http.MethodGet:
		return nil
	case http.MethodPost:
	default:
		return badRequest("GET and POST only are supported.")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPassword+1))
	switch {
	case err != nil:
		return badRequest("The body could not be read.")
	case len(body) > maxPassword:
		return badRequest("Request is too large.")
	case len(body) > 0:
		return &fault{status: http.StatusForbidden, text: "Storing a password is not supported."}
	}
	return nil
}
