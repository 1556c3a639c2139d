package metadataagent

import "imprint/host/cloud"

// traceParent returns the request's Traceparent, or a new one when it has none
// that is in order, and the trace id in it.
func traceParent(parent string) (header, id string) {
	if id := cloud.TraceID(parent); id != "" {
		return parent, id
	}
	id = cloud.NewTraceID()
	return cloud.TraceParent(id), id
}
