package config

import (
	"fmt"
	"regexp"
	"strings"
)

// reference is a $name, ${name} or ${group.name} in a value, or $$.
// oslo_config/cfg.py, Template.
var reference = regexp.MustCompile(`(?i)\$(?:(\$)|([_a-z][._a-z0-9]*)|\{([_a-z][._a-z0-9]*)\})`)

// maxSubstitutions bounds how deep values refer to each other.
const maxSubstitutions = 10

// Expand replaces the references in a value of group as it is written, by the
// rules of [INI.expand].
func (f *INI) Expand(group, value string, fallback func(INIOption) (string, bool)) (string, error) {
	return f.expand(group, value, fallback, 0)
}

// expand replaces the references in a value of group. A name is looked for in
// the same group, then in DEFAULT; fallback has the values of options that the
// files leave out. \$ and $$ stand for a dollar sign. A reference to an option
// that nobody knows is an error, as with oslo.config.
func (f *INI) expand(group, value string, fallback func(INIOption) (string, bool), depth int) (string, error) {
	if depth > maxSubstitutions {
		return "", fmt.Errorf("%.80q refers to itself", value)
	}
	var failed error
	value = strings.ReplaceAll(value, `\$`, "$$")
	out := reference.ReplaceAllStringFunc(value, func(match string) string {
		if failed != nil {
			return ""
		}
		parts := reference.FindStringSubmatch(match)
		if parts[1] != "" {
			return "$"
		}
		var text string
		text, failed = f.refer(group, parts[2]+parts[3], fallback, depth)
		return text
	})
	return out, failed
}

func (f *INI) refer(group, name string, fallback func(INIOption) (string, bool), depth int) (string, error) {
	places := []INIOption{{group, name}, {defaultGroup, name}}
	if g, n, ok := strings.Cut(name, "."); ok {
		places = []INIOption{{groupName(g), n}}
	}
	for _, find := range []func(INIOption) (string, bool){f.Raw, fallback} {
		for _, o := range places {
			if raw, ok := find(o); ok {
				return f.expand(o.Group, raw, fallback, depth+1)
			}
		}
	}
	return "", fmt.Errorf("$%s: there is no such option", name)
}
