package metadataagent

import (
	"strconv"
	"strings"
)

// preferred is the type that an Accept header prefers of HTML and JSON, ""
// for neither or no header. Of equals HTML comes first, as in WebOb
// (webob/exc.py, 1.8.7). RFC 9110 12.5.1.
func preferred(accept string) string {
	best, bestQuality := "", 0.0
	for _, offer := range []string{"text/html", "application/json"} {
		if q := quality(accept, offer); q > bestQuality {
			best, bestQuality = offer, q
		}
	}
	return best
}

// quality is that of the most specific range of the header that covers offer.
func quality(accept, offer string) float64 {
	kind, _, _ := strings.Cut(offer, "/")
	ranges := []string{"*/*", kind + "/*", offer} // ever more specific
	found, specific := 0.0, -1
	for part := range strings.SplitSeq(accept, ",") {
		fields := strings.Split(part, ";")
		name := strings.ToLower(strings.TrimSpace(fields[0]))
		for i, r := range ranges {
			if name == r && i > specific {
				found, specific = weight(fields[1:]), i
			}
		}
	}
	return found
}

func weight(parameters []string) float64 {
	for _, p := range parameters {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(name, "q") {
			q, err := strconv.ParseFloat(value, 64)
			if err != nil || q < 0 || q > 1 {
				return 0
			}
			return q
		}
	}
	return 1
}
