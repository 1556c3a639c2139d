package userdata

import (
	"net/url"
	"strings"
)

// parameter is the value of a header's parameter, or "" (RFC 2045 5.1; the
// encoded form name*=charset'language'text of RFC 2231 4 too).
func parameter(header, name string) string {
	_, rest, _ := cutQuoted(header)
	for rest != "" {
		var field string
		field, rest, _ = cutQuoted(rest)
		key, value, ok := strings.Cut(field, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		value = strings.TrimSpace(value)
		switch {
		case ok && key == name:
			return unquote(value)
		case ok && key == name+"*":
			return extended(unquote(value))
		}
	}
	return ""
}

// cutQuoted is strings.Cut at the first semicolon outside quotes.
func cutQuoted(s string) (before, after string, found bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ';' && !quoted:
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// unquote takes quotes and the backslashes between them away.
func unquote(s string) string {
	switch {
	case len(s) > 1 && s[0] == '"' && s[len(s)-1] == '"':
		return strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(s[1 : len(s)-1])
	case len(s) > 1 && s[0] == '<' && s[len(s)-1] == '>':
		return s[1 : len(s)-1]
	}
	return s
}

func extended(s string) string {
	parts := strings.SplitN(s, "'", 3)
	text := parts[len(parts)-1]
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}
