package cloud

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Headers that carry trust between the hops of a metadata request, in their
// canonical form. neutron: agent/metadata, nova: api/metadata/handler.py.
const (
	HeaderForwardedFor      = "X-Forwarded-For"
	HeaderInstanceID        = "X-Instance-ID"
	HeaderTenantID          = "X-Tenant-ID"
	HeaderInstanceSignature = "X-Instance-ID-Signature"
	HeaderRouterID          = "X-Neutron-Router-ID"
	HeaderNetworkID         = "X-Neutron-Network-ID"
	// HeaderTraceParent carries one trace id over all hops (W3C Trace Context).
	HeaderTraceParent = "Traceparent"
)

// Signature returns the hexadecimal HMAC-SHA256 of a server id under the
// shared secret: the value of [HeaderInstanceSignature].
func Signature(secret string, id ServerID) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(id))
	return hex.EncodeToString(mac.Sum(nil))
}

// SignatureValid compares sig with the right signature in constant time.
func SignatureValid(secret string, id ServerID, sig string) bool {
	return hmac.Equal([]byte(sig), []byte(Signature(secret, id)))
}

// TraceID returns the trace id in a [HeaderTraceParent] value, 32 hexadecimal
// digits; "" when the value is not in order. W3C Trace Context 1, 3.2.
func TraceID(parent string) string {
	if len(parent) != 55 {
		return ""
	}
	p := strings.Split(parent, "-")
	if len(p) != 4 || p[0] != "00" || len(p[1]) != 32 || len(p[2]) != 16 || strings.Trim(parent, "0123456789abcdef-") != "" {
		return ""
	}
	return p[1]
}

// TraceParent returns a [HeaderTraceParent] value for trace id, a new span in it.
func TraceParent(id string) string { return "00-" + id + "-" + NewSecret(8) + "-01" }

// NewTraceID returns a random trace id.
func NewTraceID() string { return NewSecret(16) }
