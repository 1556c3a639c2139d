package jinja

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// lower is the filters' way to ignore case.
func lower(v any) any {
	if text, ok := asText(v); ok {
		return strings.ToLower(text)
	}
	return v
}

// sorted orders items by their keys, equal ones as they were.
func (s *state) sorted(items []any, key func(any) any, backwards bool) []any {
	type entry struct{ key, item any }
	entries := make([]entry, 0, len(items))
	for _, item := range items {
		entries = append(entries, entry{key(item), item})
	}
	slices.SortStableFunc(entries, func(a, b entry) int {
		if backwards {
			a, b = b, a
		}
		switch {
		case s.less(a.key, b.key):
			return -1
		case s.less(b.key, a.key):
			return 1
		}
		return 0
	})
	out := make([]any, 0, len(items))
	for _, e := range entries {
		out = append(out, e.item)
	}
	return out
}

// path is what an attribute argument names: parts of a dotted text, or one
// index.
func path(attribute any) []any {
	text, ok := asText(attribute)
	if !ok {
		return []any{attribute}
	}
	var out []any
	for part := range strings.SplitSeq(text, ".") {
		if n, err := strconv.Atoi(part); err == nil && strings.TrimFunc(part, unicode.IsDigit) == "" {
			out = append(out, number(n))
		} else {
			out = append(out, part)
		}
	}
	return out
}

// getter fetches an attribute (missing or nil: the item itself) of an item.
func (s *state) getter(attribute, def any, caseless bool) func(any) any {
	var parts []any
	if none(attribute) != nil {
		parts = path(attribute)
	}
	return func(item any) any {
		for _, part := range parts {
			s.charge(1)
			item = s.getItem(item, part)
			if isUndefined(item) && none(def) != nil {
				item = def
			}
		}
		if caseless {
			return lower(item)
		}
		return item
	}
}

func dictsort(s *state, v []any) any {
	d, ok := v[0].(*Dict)
	if !ok {
		s.defined(v[0])
		s.fail("'%s' object has no attribute 'items'", typeName(v[0]))
	}
	at := slices.Index([]string{"key", "value"}, s.textArg(v[2], "key"))
	if at < 0 {
		s.fail(`You can only sort by either "key" or "value"`)
	}
	key := s.getter(number(at), nil, !s.boolArg(v[1]))
	return &List{s.sorted((&view{"dict_items", d}).items(), key, s.boolArg(v[3]))}
}

func sortFilter(s *state, v []any) any {
	caseless := !s.boolArg(v[2])
	var getters []func(any) any
	if text, ok := asText(none(v[3])); ok {
		for part := range strings.SplitSeq(text, ",") {
			getters = append(getters, s.getter(part, nil, caseless))
		}
	} else {
		getters = append(getters, s.getter(v[3], nil, caseless))
	}
	key := func(item any) any {
		var keys []any
		for _, get := range getters {
			keys = append(keys, get(item))
		}
		return &List{keys}
	}
	return &List{s.sorted(s.items(v[0]), key, s.boolArg(v[1]))}
}

func groupby(s *state, v []any) any {
	caseless := !s.boolArg(v[3])
	key := s.getter(v[1], v[2], caseless)
	given := s.getter(v[1], v[2], false)
	out := &List{}
	var last any
	for _, item := range s.sorted(s.items(v[0]), key, false) {
		k := key(item)
		if n := len(out.Items); n > 0 && s.equal(k, last) {
			of := out.Items[n-1].(*group).Tuple[1].(*List)
			of.Items = append(of.Items, item)
			continue
		}
		last = k
		out.Items = append(out.Items, &group{Tuple{given(item), &List{[]any{item}}}})
	}
	return out
}

func unique(s *state, v []any) any {
	key := s.getter(v[2], nil, !s.boolArg(v[1]))
	seen := map[string]bool{}
	var out []any
	for _, item := range s.items(v[0]) {
		if id := s.hash(key(item)); !seen[id] {
			seen[id] = true
			out = append(out, item)
		}
	}
	return &generator{out}
}
