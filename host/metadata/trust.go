package metadata

import (
	"net/http"
	"strings"

	"imprint/host/cloud"
)

// headerProvider asks for the mode of load balancers, which is another way of
// trust and is not offered here.
const headerProvider = "X-Metadata-Provider"

// verify returns the server that the headers prove to ask. Headers that are
// missing are told in Nova's order: id, signature, tenant.
// nova: api/metadata/handler.py, _handle_instance_id_request.
func (s *Service) verify(h http.Header) (cloud.ServerID, *fault) {
	if one(h, headerProvider) != "" {
		return "", forbidden()
	}
	for _, name := range []string{cloud.HeaderInstanceID, cloud.HeaderInstanceSignature, cloud.HeaderTenantID} {
		if len(h.Values(name)) == 0 {
			return "", badRequest(name + " header is missing from request.")
		}
	}
	id := cloud.ServerID(one(h, cloud.HeaderInstanceID))
	if !cloud.SignatureValid(s.secret, id, one(h, cloud.HeaderInstanceSignature)) {
		return "", forbidden()
	}
	return id, nil
}

// one returns a header's value. Several headers of the name are joined, as
// WSGI does, into a value that is nobody's.
func one(h http.Header, name string) string { return strings.Join(h.Values(name), ",") }
