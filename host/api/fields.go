package api

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"imprint/host/cloud"
)

// isLine reports whether r may stand in a text of one line: letters, marks,
// numbers, punctuation, symbols, spaces. nova: api/validation/parameter_types.py.
func isLine(r rune) bool { return r != utf8.RuneError && unicode.IsGraphic(r) }

// Line reports whether s has no control characters, line breaks included.
func Line(s string) bool { return strings.IndexFunc(s, func(r rune) bool { return !isLine(r) }) < 0 }

// Text returns a text of one line, of min to max characters.
func (o *Object) Text(name string, min, max int) string {
	return o.text(name, min, max, isLine)
}

// Multiline returns a text that may have line breaks and tabs.
func (o *Object) Multiline(name string, min, max int) string {
	return o.text(name, min, max, func(r rune) bool { return isLine(r) || r == '\n' || r == '\r' || r == '\t' })
}

func (o *Object) text(name string, min, max int, allowed func(rune) bool) string {
	if !o.Has(name) {
		return ""
	}
	s, ok := o.members[name].(string)
	switch n := utf8.RuneCountInString(s); {
	case !ok:
		o.fail(name, "It must be a text.")
	case n < min:
		o.fail(name, fmt.Sprintf("It is too short: it must have at least %d characters.", min))
	case n > max:
		o.fail(name, fmt.Sprintf("It is too long: it may have at most %d characters.", max))
	case strings.IndexFunc(s, func(r rune) bool { return !allowed(r) }) >= 0:
		o.fail(name, "It has characters that are not printable.")
	default:
		return s
	}
	return ""
}

// Name returns a text that is no line of blanks, with the blanks at its ends
// removed.
func (o *Object) Name(name string, max int) string {
	s := strings.TrimSpace(o.Text(name, 1, max))
	if o.Has(name) && s == "" {
		o.fail(name, "It must have at least one character that is not blank.")
	}
	return s
}

// Enum returns a text that is one of choices.
func (o *Object) Enum(name string, choices ...string) string {
	s := o.Text(name, 0, 64)
	if !o.Has(name) {
		return ""
	}
	for _, c := range choices {
		if s == c {
			return s
		}
	}
	o.fail(name, "It must be one of "+strings.Join(choices, ", ")+".")
	return ""
}

// UUID returns an id in the 36-character form, lower case.
func (o *Object) UUID(name string) string {
	s := o.Text(name, 0, 64)
	if s == "" && !o.Has(name) {
		return ""
	}
	if !cloud.IsUUID(s) {
		o.fail(name, "It is not a valid UUID.")
		return ""
	}
	return strings.ToLower(s)
}

// Bool returns a truth value, or the one given as default. The words are those
// of oslo_utils.strutils.bool_from_string.
func (o *Object) Bool(name string, otherwise bool) bool {
	if !o.Has(name) {
		return otherwise
	}
	switch v := o.members[name].(type) {
	case bool:
		return v
	case string, json.Number:
		switch strings.ToLower(fmt.Sprint(v)) {
		case "true", "1", "on", "yes", "t", "y":
			return true
		case "false", "0", "off", "no", "f", "n":
			return false
		}
	}
	o.fail(name, "It must be true or false.")
	return otherwise
}

// Int returns a whole number from min to max, or the default. A number in
// quotes is one too.
func (o *Object) Int(name string, otherwise, min, max int) int {
	if !o.Has(name) {
		return otherwise
	}
	var n int
	err := strconv.ErrSyntax
	switch v := o.members[name].(type) {
	case json.Number:
		n, err = strconv.Atoi(string(v))
	case string:
		n, err = strconv.Atoi(v)
	}
	if err != nil || n < min || n > max {
		o.fail(name, fmt.Sprintf("It must be a whole number from %d to %d.", min, max))
		return otherwise
	}
	return n
}

// Float returns a number from min to max, or the default.
func (o *Object) Float(name string, otherwise, min, max float64) float64 {
	if !o.Has(name) {
		return otherwise
	}
	var f float64
	err := strconv.ErrSyntax
	switch v := o.members[name].(type) {
	case json.Number:
		f, err = strconv.ParseFloat(string(v), 64)
	case string:
		f, err = strconv.ParseFloat(v, 64)
	}
	if err != nil || math.IsNaN(f) || f < min || f > max {
		o.fail(name, fmt.Sprintf("It must be a number from %g to %g.", min, max))
		return otherwise
	}
	return f
}

// Addr returns an IP address without a zone; the zero Addr when absent.
func (o *Object) Addr(name string) netip.Addr {
	s := o.Text(name, 0, 64)
	if !o.Has(name) {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		o.fail(name, "It is not a valid IP address.")
		return netip.Addr{}
	}
	return a.Unmap()
}

// Prefix returns an IP network in CIDR form, masked; the zero Prefix when absent.
func (o *Object) Prefix(name string) netip.Prefix {
	s := o.Text(name, 0, 64)
	if !o.Has(name) {
		return netip.Prefix{}
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		o.fail(name, "It is not a valid IP network.")
		return netip.Prefix{}
	}
	return p.Masked()
}

// Object returns the object in a field; an empty one when absent.
func (o *Object) Object(name string) *Object {
	path := printable(name)
	if o.path != "" {
		path = o.path + "." + path
	}
	if !o.Has(name) {
		return o.d.object(nil, path)
	}
	members, ok := o.members[name].(map[string]any)
	if !ok {
		o.fail(name, "It must be an object.")
	}
	return o.d.object(members, path)
}

// list returns a field's list of at most max items.
func (o *Object) list(name string, max int) []any {
	if !o.Has(name) {
		return nil
	}
	items, ok := o.members[name].([]any)
	if !ok {
		o.fail(name, "It must be a list.")
		return nil
	}
	if len(items) > max {
		o.fail(name, fmt.Sprintf("It may have at most %d items.", max))
		return nil
	}
	return items
}

// Objects returns the objects in a list of at most max.
func (o *Object) Objects(name string, max int) []*Object {
	var out []*Object
	for i, item := range o.list(name, max) {
		members, ok := item.(map[string]any)
		if !ok {
			o.fail(name, "It must be a list of objects.")
			return nil
		}
		path := printable(name) + "." + strconv.Itoa(i)
		if o.path != "" {
			path = o.path + "." + path
		}
		out = append(out, o.d.object(members, path))
	}
	return out
}

// Texts returns the texts of one line in a list of at most max.
func (o *Object) Texts(name string, max int) []string {
	var out []string
	for _, item := range o.list(name, max) {
		s, ok := item.(string)
		if !ok || utf8.RuneCountInString(s) > 255 || !Line(s) {
			o.fail(name, "It must be a list of printable texts of at most 255 characters.")
			return nil
		}
		out = append(out, s)
	}
	return out
}

// IsText reports whether the field holds a text.
func (o *Object) IsText(name string) bool {
	_, ok := o.members[name].(string)
	return ok
}
