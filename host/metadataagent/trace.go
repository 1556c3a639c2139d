package metadataagent

import (
	"strings"

	"imprint/host/cloud"
)

// traceParent returns the request's Traceparent, or a new one when it has none
// that is in order, and the trace id in it. W3C Trace Context 1, 3.2.
func traceParent(parent string) (header, id string) {
	p := strings.Split(parent, "-")
	if len(parent) == 55 && len(p) == 4 && p[0] == "00" && len(p[1]) == 32 && len(p[2]) == 16 && strings.Trim(parent, "0123456789abcdef-") == "" {
		return parent, p[1]
	}
	id = cloud.NewSecret(16)
	return "00-" + id + "-" + cloud.NewSecret(8) + "-01", id
}
