package nsproxy

import (
	"net/http"
	"strings"
)

// trusted are the beginnings of header names that some hop on the way may
// believe, or that a cloud's other proxies use for the same.
func trusted() []string {
	return []string{
		"x-forwarded", "forwarded", "x-real-ip", "x-client-ip", "x-instance", "x-tenant", "x-project",
		"x-neutron", "x-ovn", "x-metadata", "x-nova", "traceparent", "tracestate",
	}
}

// hopByHop are headers about a connection. RFC 9110 7.6.1.
func hopByHop() []string {
	return []string{
		"connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization",
		"te", "trailer", "transfer-encoding", "upgrade", "expect", "http2-settings",
	}
}

// passedOn returns what of a client's headers goes to the agent.
func passedOn(in http.Header) http.Header {
	drop := map[string]bool{"host": true, "content-length": true}
	for _, name := range hopByHop() {
		drop[name] = true
	}
	for _, list := range in.Values("Connection") {
		for name := range strings.SplitSeq(list, ",") {
			drop[spelling(strings.TrimSpace(name))] = true
		}
	}
	out := http.Header{"User-Agent": nil} // or the client adds its own
	for name, values := range in {
		if plain := spelling(name); !drop[plain] && !isTrusted(plain) {
			out[name] = values
		}
	}
	return out
}

func isTrusted(plain string) bool {
	for _, beginning := range trusted() {
		if strings.HasPrefix(plain, beginning) {
			return true
		}
	}
	return false
}

// spelling returns the one form of all spellings of a name that a server
// might take for the same: lower case, with a dash for each sign that is
// neither letter nor digit (CGI and WSGI turn dashes into underscores).
func spelling(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		}
		return '-'
	}, name)
}

// passBack copies an answer's headers, but those about the connection.
func passBack(to, from http.Header) {
	drop := map[string]bool{"date": true, "traceparent": true}
	for _, name := range hopByHop() {
		drop[name] = true
	}
	for name, values := range from {
		if !drop[spelling(name)] {
			to[name] = values
		}
	}
}
