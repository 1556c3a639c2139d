package jinja

import (
	"slices"
	"strings"
)

// listFilters are those on sequences and maps (jinja2/filters.py, 3.1.2).
func listFilters() map[string]native {
	return map[string]native{
		"batch":    {"linecount fill_with?", batch},
		"count":    {"", lengthFilter},
		"d":        {"default_value? boolean?", defaultFilter},
		"default":  {"default_value? boolean?", defaultFilter},
		"dictsort": {"case_sensitive? by? reverse?", dictsort},
		"first":    {"", first},
		"groupby":  {"attribute default? case_sensitive?", groupby},
		"items":    {"", itemsFilter},
		"join":     {"d? attribute?", join},
		"last":     {"", last},
		"length":   {"", lengthFilter},
		"list":     {"", func(s *state, v []any) any { return &List{slices.Clone(s.items(v[0]))} }},
		"reverse":  {"", reverse},
		"slice":    {"slices fill_with?", sliceFilter},
		"sort":     {"reverse? case_sensitive? attribute?", sortFilter},
		"unique":   {"case_sensitive? attribute?", unique},
		"pprint":   {"", func(s *state, v []any) any { return s.repr(v[0]) }},
	}
}

func lengthFilter(s *state, v []any) any {
	n, ok := length(v[0])
	if !ok {
		s.fail("object of type '%s' has no len()", typeName(v[0]))
	}
	s.charge(n / 32)
	return number(n)
}

func defaultFilter(s *state, v []any) any {
	if !isUndefined(v[0]) && (!s.boolArg(v[2]) || s.truth(v[0])) {
		return v[0]
	}
	if v[1] == missing {
		return ""
	}
	return v[1]
}

func itemsFilter(s *state, v []any) any {
	if isUndefined(v[0]) {
		return &generator{}
	}
	d, ok := v[0].(*Dict)
	if !ok {
		s.fail("Can only get item pairs from a mapping.")
	}
	return &generator{(&view{"dict_items", d}).items()}
}

func join(s *state, v []any) any {
	get := s.getter(v[2], nil, false)
	sep := s.textArg(v[1], "")
	items := s.items(v[0])
	s.afford(len(items), len(sep))
	var out strings.Builder
	for i, item := range items {
		if i > 0 {
			out.WriteString(sep)
		}
		out.WriteString(s.made(s.text(get(item))))
	}
	return s.made(out.String())
}

func first(s *state, v []any) any {
	if items := s.items(v[0]); len(items) > 0 {
		return items[0]
	}
	return &undefined{hint: "No first item, sequence was empty."}
}

func last(s *state, v []any) any {
	if _, ok := v[0].(*generator); ok {
		s.fail("'generator' object is not reversible")
	}
	if items := s.items(v[0]); len(items) > 0 {
		return items[len(items)-1]
	}
	return &undefined{hint: "No last item, sequence was empty."}
}

func reverse(s *state, v []any) any {
	items := slices.Clone(s.items(v[0]))
	slices.Reverse(items)
	if _, ok := asText(v[0]); ok {
		return s.like(v[0], items)
	}
	return &generator{items}
}

func batch(s *state, v []any) any {
	n := s.intArg(v[1], 0)
	var out []any
	row := &List{}
	for _, item := range s.items(v[0]) {
		if len(row.Items) == n {
			out = append(out, row)
			row = &List{}
		}
		row.Items = append(row.Items, item)
	}
	if len(row.Items) == 0 {
		return &generator{out}
	}
	if fill := none(v[2]); fill != nil && len(row.Items) < n {
		s.charge(n - len(row.Items))
		for len(row.Items) < n {
			row.Items = append(row.Items, fill)
		}
	}
	return &generator{append(out, row)}
}

func sliceFilter(s *state, v []any) any {
	items, n := s.items(v[0]), s.intArg(v[1], 0)
	if n == 0 {
		s.fail("integer division or modulo by zero")
	}
	s.charge(max(n, 0))
	var out []any
	for i := range max(n, 0) {
		size := len(items) / n
		extra := i < len(items)%n
		start := i*size + min(i, len(items)%n)
		if extra {
			size++
		}
		row := slices.Clone(items[start : start+size])
		if fill := none(v[2]); fill != nil && !extra {
			row = append(row, fill)
		}
		out = append(out, &List{row})
	}
	return &generator{out}
}
