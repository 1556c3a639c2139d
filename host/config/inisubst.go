package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Option is an option that a service knows.
type Option struct {
	INIOption
	// Older are the names that it had in older releases; of two in one file the
	// first counts, and its present name before them.
	Older   []INIOption
	Default string
}

// names are all names of an option by precedence.
func (o Option) names() []INIOption { return append([]INIOption{o.INIOption}, o.Older...) }

// reference is a $name, ${name} or ${group.name} in a value, or $$.
// oslo_config/cfg.py, Template.
var reference = regexp.MustCompile(`(?i)\$(?:(\$)|([_a-z][._a-z0-9]*)|\{([_a-z][._a-z0-9]*)\})`)

// maxReferences bounds how many references one value leads to.
const maxReferences = 1000

// Value returns what the files or the default say of an option, with its
// references replaced. known are the options that references may name. \$ and
// $$ stand for a dollar sign.
func (f *INI) Value(o Option, known []Option) (string, error) {
	return (&expansion{f, known, maxReferences}).value(o)
}

// expansion replaces the references of one value, and those that they lead to.
type expansion struct {
	*INI
	known []Option
	left  int // references
}

// value expands in the option's own group, even where its value stands by an
// older name in another.
func (e *expansion) value(o Option) (string, error) {
	raw, ok := e.last(o.names()...)
	if !ok {
		raw = o.Default
	}
	return e.text(o.Group, raw)
}

func (e *expansion) text(group, raw string) (string, error) {
	var failed error
	raw = strings.ReplaceAll(raw, `\$`, "$$")
	out := reference.ReplaceAllStringFunc(raw, func(match string) string {
		if failed != nil {
			return ""
		}
		parts := reference.FindStringSubmatch(match)
		if parts[1] != "" {
			return "$"
		}
		var text string
		text, failed = e.refer(group, parts[2]+parts[3])
		return text
	})
	if failed == nil && len(out) > maxFile {
		failed = fmt.Errorf("longer than %d bytes with its references", maxFile)
	}
	return out, failed
}

// refer finds what a reference in a value of group names: an option of the same
// group, then one of DEFAULT, which ${DEFAULT.name} does not name. A name
// without an option is an error. Beyond
// oslo.config, which knows every option of its service, any option of the files
// can be named.
func (e *expansion) refer(group, name string) (string, error) {
	if e.left--; e.left < 0 {
		return "", fmt.Errorf("$%s refers to itself or to too much", name)
	}
	places := []INIOption{{group, name}, {defaultGroup, name}}
	if g, n, ok := strings.Cut(name, "."); ok {
		places = []INIOption{{g, n}}
		if g == defaultGroup {
			places = nil
		}
	}
	for _, place := range places {
		i := slices.IndexFunc(e.known, func(o Option) bool { return slices.Contains(o.names(), place) })
		if i >= 0 {
			return e.value(e.known[i])
		}
	}
	for _, place := range places {
		if raw, ok := e.last(place); ok {
			return e.text(place.Group, raw)
		}
	}
	return "", fmt.Errorf("$%s: there is no such option", name)
}
