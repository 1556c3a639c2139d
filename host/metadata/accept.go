package metadata

import (
	"strconv"
	"strings"
)

// preferred returns which of the two forms of an error an Accept header
// prefers, "" when it wants neither or is missing. RFC 9110 12.5.1; of equals
// HTML comes first, as with WebOb.
func preferred(accept string) string {
	html, json := quality(accept, "text", "html"), quality(accept, "application", "json")
	switch {
	case html == 0 && json == 0:
		return ""
	case html >= json:
		return "text/html"
	}
	return "application/json"
}

// quality is the weight, 0 to 1, that accept gives a media type: that of the
// most specific range which covers it.
func quality(accept, major, minor string) float64 {
	best, weight := 0, 0.0
	for part := range strings.SplitSeq(accept, ",") {
		mediaRange, params, _ := strings.Cut(part, ";")
		specific := 0
		switch strings.ToLower(strings.TrimSpace(mediaRange)) {
		case major + "/" + minor:
			specific = 3
		case major + "/*":
			specific = 2
		case "*/*":
			specific = 1
		}
		if specific > best {
			best, weight = specific, qvalue(params)
		}
	}
	return weight
}

func qvalue(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if !strings.EqualFold(name, "q") {
			continue
		}
		q, err := strconv.ParseFloat(value, 64)
		if err != nil || !(q >= 0 && q <= 1) {
			return 0
		}
		return q
	}
	return 1
}
