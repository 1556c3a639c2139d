package jinja

import "maps"

// library is what templates can name: made once for each, so that nothing is
// shared that could change.
type library struct {
	filters, tests                   map[string]native
	strMethods, listMethods          map[string]native
	dictMethods, tupleMethods, ofAny map[string]native
}

func newLibrary() *library {
	l := &library{
		filters: textFilters(), tests: tests(),
		strMethods: strMethods(), listMethods: listMethods(),
		dictMethods: dictMethods(), tupleMethods: tupleMethods(), ofAny: map[string]native{},
	}
	maps.Copy(l.filters, markupFilters())
	maps.Copy(l.filters, listFilters())
	maps.Copy(l.filters, pickFilters())
	maps.Copy(l.filters, numberFilters())
	return l
}

func (l *library) methods(v any) map[string]native {
	switch v.(type) {
	case string, Markup:
		return l.strMethods
	case *List:
		return l.listMethods
	case *Dict:
		return l.dictMethods
	case Tuple, *group:
		return l.tupleMethods
	}
	return l.ofAny
}

// globals are the variables that every template has.
func (l *library) globals() map[string]any {
	out := map[string]any{}
	for name, n := range map[string]native{
		"range":     {"*", newRange},
		"dict":      {"* **", newDict},
		"namespace": {"* **", newNamespace},
		"cycler":    {"*", newCycler},
		"joiner":    {"sep?", newJoiner},
	} {
		out[name] = &function{native: n, name: name}
	}
	return out
}

func newRange(s *state, v []any) any {
	var n []int
	for _, a := range v[0].(Tuple) {
		n = append(n, s.intArg(a, 0))
	}
	switch len(n) {
	case 1:
		return rangeValue{0, n[0], 1}
	case 2:
		return rangeValue{n[0], n[1], 1}
	case 3:
		if n[2] == 0 {
			s.fail("range() arg 3 must not be zero")
		}
		return rangeValue{n[0], n[1], n[2]}
	}
	s.fail("range expected 1 to 3 arguments, got %d", len(n))
	return nil
}

func newDict(s *state, v []any) any {
	d := &Dict{}
	if len(v[0].(Tuple)) > 1 {
		s.fail("dict expected at most 1 argument")
	}
	for _, from := range v[0].(Tuple) {
		s.update(d, from)
	}
	s.update(d, v[1])
	return d
}

// update is d.update(from): a mapping or pairs.
func (s *state) update(d *Dict, from any) {
	if m, ok := from.(*Dict); ok {
		for i, k := range m.keys {
			s.set(d, k, m.values[i])
		}
		return
	}
	for _, item := range s.items(from) {
		pair := s.items(item)
		if len(pair) != 2 {
			s.fail("dictionary update sequence element has length %d; 2 is required", len(pair))
		}
		s.set(d, pair[0], pair[1])
	}
}

func newNamespace(s *state, v []any) any {
	return &namespace{*newDict(s, v).(*Dict)}
}

// cycler goes through its items again and again.
type cycler struct {
	items Tuple
	pos   int
}

func newCycler(s *state, v []any) any {
	c := &cycler{items: v[0].(Tuple)}
	if len(c.items) == 0 {
		s.fail("at least one item has to be provided")
	}
	return c
}

func (c *cycler) attr(_ *state, name string) (any, bool) {
	switch name {
	case "current":
		return c.items[c.pos], true
	case "next":
		return &function{native: native{"", func(*state, []any) any {
			v := c.items[c.pos]
			c.pos = (c.pos + 1) % len(c.items)
			return v
		}}, name: name}, true
	case "reset":
		return &function{native: native{"", func(*state, []any) any {
			c.pos = 0
			return nil
		}}, name: name}, true
	}
	return nil, false
}

// joiner gives nothing at first and then its separator.
type joiner struct {
	sep  any
	used bool
}

func newJoiner(_ *state, v []any) any {
	if v[0] == missing {
		return &joiner{sep: ", "}
	}
	return &joiner{sep: v[0]}
}

func (j *joiner) call(*state, args) any {
	if j.used {
		return j.sep
	}
	j.used = true
	return ""
}
