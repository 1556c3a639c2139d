package cloudconfig

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
)

// Level tells how bad a [Problem] is.
type Level uint8

// The levels.
const (
	LevelWarning Level = iota // ignored, or probably not meant
	LevelError                // a module will fail on it
)

// String is "warning" or "error".
func (l Level) String() string {
	if l == LevelError {
		return "error"
	}
	return "warning"
}

// Problem is something that a #cloud-config document says in vain.
type Problem struct {
	Level        Level
	Line, Column int    // from 1; 0 when unknown
	Path         string // "users[0].name"
	Text         string
}

// String is the problem in one line.
func (p Problem) String() string {
	return fmt.Sprintf("line %d column %d: %s: %s: %s", p.Line, p.Column, p.Level, p.Path, p.Text)
}

// maxProblems bounds what a hostile document can make [Check] return.
const maxProblems = 1000

// Check reports unknown top-level keys (warnings), wrong types of the keys
// that the modules know (errors) and text that YAML reads as something else
// (warnings), in document order; at most a thousand problems. Keys that
// cloud-init 22.4 knows and no rule stands for pass unseen.
func Check(n *Node) []Problem {
	c := &check{}
	if n.kind() != KindMap {
		c.wrong("", n, "a map")
		return c.problems
	}
	c.keys("", n, topRules(), true)
	slices.SortStableFunc(c.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return c.problems
}

// check collects problems.
type check struct{ problems []Problem }

// rule looks at one value.
type rule func(c *check, path string, n *Node)

func (c *check) say(l Level, path string, n *Node, format string, args ...any) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, Problem{l, n.Line, n.Column, path, fmt.Sprintf(format, args...)})
	}
}

func (c *check) wrong(path string, n *Node, want string) {
	c.say(LevelError, path, n, "want %s, have %s", want, shown(path, n))
}

// secret are the paths of values that no message shows.
var secret = regexp.MustCompile(`(?:^|\.)(?:password|passwd|hashed_passwd|plain_text_passwd|content|[a-z0-9]+_private)$|^chpasswd\.list`)

// shown is the value at path as a message shows it.
func shown(path string, n *Node) string {
	if secret.MatchString(path) {
		return "a " + n.kind().String()
	}
	return n.excerpt()
}

// keys looks at a map: every value by its key's rule, a nil rule meaning that
// anything goes. Empty values are warned about where the map is the document.
func (c *check) keys(path string, n *Node, rules map[string]rule, top bool) {
	for _, p := range n.pairs {
		name := p.Key.String()
		at := name
		if path != "" {
			at = path + "." + name
		}
		r, known := rules[name]
		switch {
		case !known || p.Key.Kind != KindString:
			c.say(LevelWarning, at, p.Key, "unknown key, ignored")
		case r == nil:
		case p.Value.IsNull() && top:
			c.say(LevelWarning, at, p.Key, "no value")
		case !p.Value.IsNull():
			r(c, at, p.Value)
		}
		if len(c.problems) >= maxProblems {
			return
		}
	}
}

func boolean(c *check, path string, n *Node) {
	if _, err := n.AsBool(); err != nil {
		c.wrong(path, n, "a boolean")
	}
}

// word is a boolean or one of words.
func word(words ...string) rule {
	return func(c *check, path string, n *Node) {
		if _, err := n.AsBool(); err != nil && !slices.Contains(words, n.String()) {
			c.wrong(path, n, fmt.Sprintf("a boolean or one of %q", words))
		}
	}
}

// text is a string; no other scalar will do.
func text(c *check, path string, n *Node) {
	if n.Kind != KindString {
		c.wrong(path, n, "a string"+hint(n))
	}
}

// loose is a string; another scalar is taken as the text that YAML made of it.
func loose(c *check, path string, n *Node) {
	switch {
	case n.Kind == KindList || n.Kind == KindMap:
		c.wrong(path, n, "a string")
	case n.Kind != KindString && n.Kind != KindBinary:
		value := ""
		if !secret.MatchString(path) {
			value = " " + n.excerpt()
		}
		c.say(LevelWarning, path, n, "read as the %s%s: quote it if it is meant as text", n.Kind, value)
	}
}

func hint(n *Node) string {
	if n.Kind == KindList || n.Kind == KindMap {
		return ""
	}
	return " (quote it)"
}

func integer(c *check, path string, n *Node) {
	if _, err := n.AsInt(); err != nil {
		c.wrong(path, n, "an integer")
	}
}

// oneOf is one of words.
func oneOf(words ...string) rule {
	return func(c *check, path string, n *Node) {
		if n.Kind != KindString || !slices.Contains(words, n.text) {
			c.wrong(path, n, fmt.Sprintf("one of %q", words))
		}
	}
}

// list is a list of what item accepts.
func list(item rule) rule {
	return func(c *check, path string, n *Node) {
		if n.Kind != KindList {
			c.wrong(path, n, "a list")
			return
		}
		for i, v := range n.items {
			item(c, path+"["+strconv.Itoa(i)+"]", v)
			if len(c.problems) >= maxProblems {
				return
			}
		}
	}
}

// object is a map with these keys, of which the required ones must be there.
func object(rules map[string]rule, required ...string) rule {
	return func(c *check, path string, n *Node) {
		if n.Kind != KindMap {
			c.wrong(path, n, "a map")
			return
		}
		for _, key := range required {
			if n.Get(key).IsNull() {
				c.say(LevelError, path, n, "lacks %s", key)
			}
		}
		c.keys(path, n, rules, false)
	}
}

// anyMap is a map of any keys to what value accepts.
func anyMap(value rule) rule {
	return func(c *check, path string, n *Node) {
		if n.Kind != KindMap {
			c.wrong(path, n, "a map")
			return
		}
		for _, p := range n.pairs {
			value(c, path+"."+p.Key.String(), p.Value)
		}
	}
}

// byKind chooses by the value's kind; want names them all.
func byKind(want string, rules map[Kind]rule) rule {
	return func(c *check, path string, n *Node) {
		r, ok := rules[n.Kind]
		switch {
		case !ok:
			c.wrong(path, n, want)
		case r != nil:
			r(c, path, n)
		}
	}
}
