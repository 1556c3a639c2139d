package cloudconfig

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Get follows keys down nested maps and returns nil where one is missing or
// is no map. Get() is the node itself. Only string keys match.
func (n *Node) Get(path ...string) *Node {
	for _, key := range path {
		n = n.child(key)
	}
	return n
}

func (n *Node) child(key string) *Node {
	for _, p := range n.Pairs() {
		if p.Key.Kind == KindString && p.Key.text == key {
			return p.Value
		}
	}
	return nil
}

// Has tells whether the map n has the string key, even with a null value.
func (n *Node) Has(key string) bool { return n.child(key) != nil }

// IsNull tells whether n is missing or null.
func (n *Node) IsNull() bool { return n.kind() == KindNull }

// Items are the entries of a list; nil for every other kind. Do not change.
func (n *Node) Items() []*Node {
	if n.kind() != KindList {
		return nil
	}
	return n.items
}

// Pairs are the entries of a map in document order; nil for every other kind.
// Of duplicate keys the first position and the last value remain, as in a
// Python dict. Do not change.
func (n *Node) Pairs() []Pair {
	if n.kind() != KindMap {
		return nil
	}
	return n.pairs
}

// Keys are the keys of a map as text, in order.
func (n *Node) Keys() []string {
	var out []string
	for _, p := range n.Pairs() {
		out = append(out, p.Key.String())
	}
	return out
}

// String is Python's str() of a scalar: "True", "None", "5", "1.5",
// "2001-01-01"; a binary is its bytes. Lists and maps are JSON.
func (n *Node) String() string {
	switch n.kind() {
	case KindNull:
		return "None"
	case KindBool:
		if n.boolean {
			return "True"
		}
		return "False"
	case KindInt:
		return n.bigInt().String()
	case KindFloat:
		return formatFloat(n.float)
	case KindTime:
		return n.timeText()
	case KindList, KindMap:
		return string(n.appendJSON(nil))
	}
	return n.text
}

// AsString returns the value of a string, or the [Node.String] of another
// scalar that is not null, as most of cloud-init's options take it.
func (n *Node) AsString() (string, error) {
	switch n.kind() {
	case KindNull, KindList, KindMap:
		return "", n.Errorf("want a string, have a %s", n.kind())
	}
	return n.String(), nil
}

// AsBool takes a boolean, or true/1/on/yes and false/0/off/no in any case, as
// word or number (cloudinit/util.py is_true, is_false, 22.4). With the error
// comes what cloud-init makes of any other value: false.
func (n *Node) AsBool() (bool, error) {
	switch strings.ToLower(strings.TrimSpace(n.String())) {
	case "true", "1", "on", "yes":
		return true, nil
	case "false", "0", "off", "no":
		return false, nil
	}
	return false, n.Errorf("want a boolean (true, 1, on, yes, false, 0, off, no), have %s", n.excerpt())
}

// AsInt takes an integer, or a string that is a decimal one.
func (n *Node) AsInt() (int64, error) {
	switch {
	case n.kind() == KindInt && n.big == nil:
		return n.integer, nil
	case n.kind() == KindString:
		if i, err := strconv.ParseInt(strings.TrimSpace(n.text), 10, 64); err == nil {
			return i, nil
		}
	case n.kind() == KindInt:
		return 0, n.Errorf("integer out of range: %s", n.excerpt())
	}
	return 0, n.Errorf("want an integer, have %s", n.excerpt())
}

// AsFloat takes a float, an integer, or a string that is one.
func (n *Node) AsFloat() (float64, error) {
	switch n.kind() {
	case KindFloat:
		return n.float, nil
	case KindInt:
		f, _ := n.bigInt().Float64()
		return f, nil
	case KindString:
		text := strings.ToLower(strings.TrimSpace(n.text))
		if f, err := parseFloat(text); err == nil && !math.IsInf(f, 0) {
			return f, nil
		}
	}
	return 0, n.Errorf("want a number, have %s", n.excerpt())
}

// AsTime takes a timestamp; one without offset is UTC.
func (n *Node) AsTime() (time.Time, error) {
	if n.kind() != KindTime {
		return time.Time{}, n.Errorf("want a time, have %s", n.excerpt())
	}
	return n.time, nil
}

// AsStrings takes a list of scalars, or one scalar as a list of one; null is
// an empty list (cloudinit/util.py get_cfg_option_list, 22.4).
func (n *Node) AsStrings() ([]string, error) {
	if n.IsNull() {
		return nil, nil
	}
	if n.Kind != KindList {
		s, err := n.AsString()
		if err != nil {
			return nil, n.Errorf("want a list of strings, have a %s", n.Kind)
		}
		return []string{s}, nil
	}
	var out []string
	for _, item := range n.items {
		s, err := item.AsString()
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// excerpt is a value short enough for a message.
func (n *Node) excerpt() string {
	switch n.kind() {
	case KindNull, KindList, KindMap, KindBinary:
		return "a " + n.kind().String()
	}
	runes := []rune(n.String())
	if len(runes) > 40 {
		runes = append(runes[:40], '…')
	}
	return strconv.Quote(string(runes))
}
