package cloud

import (
	"net/url"
	"strings"
)

// claim builds a claim's key: its parts are escaped, so that no tenant's text
// can reach into another claim.
func claim(parts ...string) Claim {
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return Claim(strings.Join(parts, "/"))
}
