package jinja

import "math/rand/v2"

// pickFilters choose, change and look into items (jinja2/filters.py, 3.1.2).
func pickFilters() map[string]native {
	return map[string]native{
		"attr":       {"name", attrFilter},
		"map":        {"* **", mapFilter},
		"select":     {"* **", func(s *state, v []any) any { return s.pick(v, false, true) }},
		"reject":     {"* **", func(s *state, v []any) any { return s.pick(v, false, false) }},
		"selectattr": {"* **", func(s *state, v []any) any { return s.pick(v, true, true) }},
		"rejectattr": {"* **", func(s *state, v []any) any { return s.pick(v, true, false) }},
		"min":        {"case_sensitive? attribute?", func(s *state, v []any) any { return s.extreme(v, s.less) }},
		"max": {"case_sensitive? attribute?", func(s *state, v []any) any {
			return s.extreme(v, func(a, b any) bool { return s.ordered(">", b, a, true) })
		}},
		"random": {"", func(s *state, v []any) any {
			items := s.items(v[0])
			if len(items) == 0 {
				return first(s, v)
			}
			return items[rand.IntN(len(items))]
		}},
	}
}

func attrFilter(s *state, v []any) any {
	s.defined(v[0])
	if a, ok := s.attr(v[0], s.textArg(v[1], "")); ok {
		return a
	}
	return &undefined{in: v[0], of: true, name: v[1]}
}

// namedArgs are the pairs of a native's ** parameter.
func namedArgs(d *Dict) []namedArg {
	var out []namedArg
	for i, k := range d.keys {
		out = append(out, namedArg{k.(string), d.values[i]})
	}
	return out
}

func mapFilter(s *state, v []any) any {
	if !s.truth(v[0]) {
		return &generator{}
	}
	pos, named := v[1].(Tuple), args{named: namedArgs(v[2].(*Dict))}
	var change func(any) any
	if attribute, ok := named.take("attribute"); ok && len(pos) == 0 {
		def, _ := named.take("default")
		if len(named.named) > 0 {
			s.fail("Unexpected keyword argument '%s'", named.named[0].name)
		}
		change = s.getter(attribute, def, false)
	} else if len(pos) == 0 {
		s.fail("map requires a filter argument")
	} else {
		name := s.strArg(pos[0])
		change = func(item any) any { return s.filter(name, item, args{pos[1:], namedArgs(v[2].(*Dict))}) }
	}
	var out []any
	for _, item := range s.items(v[0]) {
		s.charge(1)
		out = append(out, change(item))
	}
	return &generator{out}
}

// pick keeps the items that a test accepts, or the others.
func (s *state) pick(v []any, attribute, keep bool) any {
	if !s.truth(v[0]) {
		return &generator{}
	}
	pos := v[1].(Tuple)
	get := func(item any) any { return item }
	if attribute {
		if len(pos) == 0 {
			s.fail("Missing parameter for attribute name")
		}
		get, pos = s.getter(pos[0], nil, false), pos[1:]
	}
	accept := s.truth
	if len(pos) > 0 {
		name := s.strArg(pos[0])
		accept = func(item any) bool { return s.test(name, item, args{pos[1:], namedArgs(v[2].(*Dict))}) }
	}
	var out []any
	for _, item := range s.items(v[0]) {
		s.charge(1)
		if accept(get(item)) == keep {
			out = append(out, item)
		}
	}
	return &generator{out}
}

// extreme is the first item that no other is before.
func (s *state) extreme(v []any, before func(a, b any) bool) any {
	items := s.items(v[0])
	if len(items) == 0 {
		return &undefined{hint: "No aggregated item, sequence was empty."}
	}
	key := s.getter(v[2], nil, !s.boolArg(v[1]))
	best := items[0]
	for _, item := range items[1:] {
		if before(key(item), key(best)) {
			best = item
		}
	}
	return best
}
