package jinja

import (
	"html"
	"net/url"
	"regexp"
	"strings"
)

// markupFilters are those on HTML and JSON (jinja2/filters.py, 3.1.2).
func markupFilters() map[string]native {
	escaped := native{"", func(s *state, v []any) any { return escape(v[0], s) }}
	return map[string]native{
		"e":           escaped,
		"escape":      escaped,
		"forceescape": {"", func(s *state, v []any) any { return escape(s.text(v[0]), s) }},
		"safe":        {"", func(s *state, v []any) any { return Markup(s.text(v[0])) }},
		"striptags":   {"", striptags},
		"xmlattr":     {"autospace?", xmlattr},
		"tojson":      {"indent?", tojson},
	}
}

// escape is markupsafe.escape.
func escape(v any, s *state) Markup {
	if m, ok := v.(Markup); ok {
		return m
	}
	return Markup(s.made(strings.NewReplacer("&", "&amp;", ">", "&gt;", "<", "&lt;", "'", "&#39;", `"`, "&#34;").Replace(s.text(v))))
}

var (
	comments = regexp.MustCompile(`(?s)<!--.*?-->`)
	tags     = regexp.MustCompile(`(?s)<.*?>`)
)

func striptags(s *state, v []any) any {
	text := s.text(v[0])
	s.charge(len(text) / 8)
	text = tags.ReplaceAllString(comments.ReplaceAllString(text, ""), "")
	return html.UnescapeString(strings.Join(strings.FieldsFunc(text, isSpace), " "))
}

func xmlattr(s *state, v []any) any {
	d, ok := v[0].(*Dict)
	if !ok {
		s.defined(v[0])
		s.fail("'%s' object has no attribute 'items'", typeName(v[0]))
	}
	var out []string
	for i, k := range d.keys {
		if value := d.values[i]; value != nil && !isUndefined(value) {
			if strings.ContainsAny(s.strArg(k), " \t\n\r\f\v/>=") {
				s.fail("Invalid character in attribute name: %s", repr(k))
			}
			out = append(out, string(escape(k, s))+`="`+string(escape(value, s))+`"`)
		}
	}
	text := strings.Join(out, " ")
	if text != "" && (v[1] == missing || s.truth(v[1])) {
		text = " " + text
	}
	return text
}

// urlencode quotes a text for a path, or the pairs of a query.
func urlencode(s *state, v []any) any {
	if d, ok := v[0].(*Dict); ok {
		v[0] = &view{"dict_items", d}
	}
	if _, isText := asText(v[0]); isText || !isIterable(v[0]) {
		return s.made(strings.ReplaceAll(quoteURL(s.text(v[0])), "%2F", "/"))
	}
	var out []string
	for _, item := range s.items(v[0]) {
		pair := s.items(item)
		if len(pair) != 2 {
			s.fail("want pairs, have %d values", len(pair))
		}
		key, value := s.made(quoteURL(s.text(pair[0]))), s.made(quoteURL(s.text(pair[1])))
		out = append(out, strings.ReplaceAll(key+"="+value, "%20", "+"))
	}
	return strings.Join(out, "&")
}

func quoteURL(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }
