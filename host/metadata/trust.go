package metadata

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"hash"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"imprint/host/cloud"
)

// Trust is the way in which the service learns who asks. It is a setting; no
// header of a request changes it. nova: api/metadata/handler.py.
type Trust string

// The modes.
const (
	// TrustSigned believes a metadata agent that signs the instance's id with
	// the shared secret (nova.conf service_metadata_proxy).
	TrustSigned Trust = "signed"
	// TrustProvider believes a load balancer that signs the id of the metadata
	// provider which it is, and names the instance's address.
	TrustProvider Trust = "provider"
	// TrustAddress knows an instance by the address that it asks from.
	TrustAddress Trust = "address"
)

// Headers in the form that net/http keeps them under.
var (
	headerForwardedFor      = http.CanonicalHeaderKey(cloud.HeaderForwardedFor)
	headerInstanceID        = http.CanonicalHeaderKey(cloud.HeaderInstanceID)
	headerTenantID          = http.CanonicalHeaderKey(cloud.HeaderTenantID)
	headerInstanceSignature = http.CanonicalHeaderKey(cloud.HeaderInstanceSignature)
	headerTraceParent       = http.CanonicalHeaderKey(cloud.HeaderTraceParent)
)

// Headers of the mode of load balancers. nova: api/metadata/handler.py.
const (
	headerProvider          = "X-Metadata-Provider"
	headerProviderSignature = "X-Metadata-Provider-Signature"
)

// asker is who asks, as far as it is proven.
type asker struct {
	id   cloud.ServerID
	told *Told
	peer netip.Addr // may be invalid
}

// answer is an empty one to a.
func (a asker) answer() answer {
	if a.told == nil {
		return answer{id: a.id}
	}
	return answer{id: a.id, share: a.told.lines}
}

// identify finds out who asks. The asker has an id when that is proven, even
// if nothing is known of it.
func (s *Service) identify(r *http.Request) (asker, *fault) {
	switch s.trust {
	case TrustProvider:
		return s.byProvider(r.Header)
	case TrustAddress:
		return s.byAddress(r)
	}
	return s.bySignature(r.Header)
}

// bySignature tells headers that are missing in Nova's order: id, signature,
// tenant. nova: api/metadata/handler.py, _handle_instance_id_request.
func (s *Service) bySignature(h http.Header) (asker, *fault) {
	if one(h, headerProvider) != "" {
		return asker{}, forbidden("provider")
	}
	for _, need := range [...][2]string{
		{headerInstanceID, cloud.HeaderInstanceID}, {headerInstanceSignature, cloud.HeaderInstanceSignature}, {headerTenantID, cloud.HeaderTenantID},
	} {
		if len(h[need[0]]) == 0 {
			return asker{}, badRequest("missing header", need[1]+" header is missing from request.")
		}
	}
	id := one(h, headerInstanceID)
	if !s.signatures.valid(id, one(h, headerInstanceSignature)) {
		return asker{}, forbidden("signature")
	}
	a := asker{id: cloud.ServerID(id)}
	a.peer, _ = netip.ParseAddr(one(h, headerForwardedFor)) // junk is no address
	a.peer = a.peer.Unmap()
	f := s.find(&a)
	if f == nil && subtle.ConstantTimeCompare([]byte(a.told.instance.ProjectID), []byte(one(h, headerTenantID))) == 0 {
		f = notFound("tenant")
	}
	return a, f
}

// byProvider departs from Nova where X-Forwarded-For names several addresses:
// Nova takes the first, which a client may have written.
// nova: api/metadata/handler.py, _handle_instance_id_request_from_lb.
func (s *Service) byProvider(h http.Header) (asker, *fault) {
	for _, name := range []string{cloud.HeaderForwardedFor, headerProvider} {
		if len(h[name]) == 0 {
			return asker{}, badRequest("missing header", name+" is missing from request.")
		}
	}
	provider := one(h, headerProvider)
	if !s.signatures.valid(provider, one(h, headerProviderSignature)) {
		return asker{}, forbidden("signature")
	}
	peer, err := netip.ParseAddr(one(h, headerForwardedFor))
	if err != nil {
		return asker{}, badRequest("address", "X-Forwarded-For is not one address.")
	}
	a := asker{peer: peer.Unmap()}
	id, err := s.instances.Behind(provider, a.peer)
	if err != nil {
		return a, faultOf("provider", err)
	}
	a.id = id
	return a, s.find(&a)
}

// byAddress: nova: api/metadata/handler.py, _handle_remote_ip_request.
func (s *Service) byAddress(r *http.Request) (asker, *fault) {
	a := asker{peer: remote(r)}
	if given := r.Header[headerForwardedFor]; s.forwardedFor && len(given) > 0 {
		var err error
		if a.peer, err = netip.ParseAddr(one(r.Header, headerForwardedFor)); err != nil {
			return asker{}, notFound("address")
		}
	}
	id, err := s.instances.At(a.peer)
	if err != nil {
		return a, faultOf("address", err)
	}
	a.id = id
	return a, s.find(&a)
}

// remote is the address at the other end of the connection.
func remote(r *http.Request) netip.Addr {
	a, _ := netip.ParseAddrPort(r.RemoteAddr)
	return a.Addr().Unmap().WithZone("")
}

// find looks a's instance up.
func (s *Service) find(a *asker) *fault {
	told, err := s.instances.Told(a.id)
	if err != nil {
		return faultOf("instance", err)
	}
	a.told = told
	return nil
}

// one returns a header's value. Several headers of the name are joined, as
// WSGI does, into a value that is nobody's.
func one(h http.Header, name string) string {
	switch values := h[name]; len(values) {
	case 0:
		return ""
	case 1:
		return values[0]
	default:
		return strings.Join(values, ",")
	}
}

// signatures checks what agents and load balancers sign: the hexadecimal
// HMAC-SHA256 of an id. Safe for concurrent use.
type signatures struct{ hashes sync.Pool }

func newSignatures(secret string) *signatures {
	s := &signatures{}
	s.hashes.New = func() any { return hmac.New(sha256.New, []byte(secret)) }
	return s
}

// valid compares in constant time.
func (s *signatures) valid(id, given string) bool {
	h := s.hashes.Get().(hash.Hash)
	defer s.hashes.Put(h)
	h.Reset()
	var sum [sha256.Size]byte
	h.Write([]byte(id))
	h.Sum(sum[:0])
	var right, claimed [2 * sha256.Size]byte
	hex.Encode(right[:], sum[:])
	copy(claimed[:], given)
	return subtle.ConstantTimeCompare(right[:], claimed[:]) == 1 && len(given) == len(right)
}
