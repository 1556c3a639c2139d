package jinja

// object is a value with attributes.
type object interface {
	attr(s *state, name string) (any, bool)
}

// getAttr is v.name: an attribute, else an item, else undefined
// (jinja2/environment.py getattr, 3.1.2).
func (s *state) getAttr(v any, name string) any {
	s.defined(v)
	if a, ok := s.attr(v, name); ok {
		return a
	}
	if d, ok := v.(*Dict); ok {
		if item, ok := d.Get(name); ok {
			return item
		}
	}
	return &undefined{in: v, of: true, name: name}
}

func (s *state) attr(v any, name string) (any, bool) {
	if o, ok := v.(object); ok {
		return o.attr(s, name)
	}
	if m, ok := s.t.lib.methods(v)[name]; ok {
		return &function{native: m, name: name, self: v, bound: true}, true
	}
	return nil, false
}

func (n *namespace) attr(_ *state, name string) (any, bool) { return n.vars.Get(name) }

// getItem is v[index]: an item, else an attribute, else undefined
// (jinja2/environment.py getitem, 3.1.2).
func (s *state) getItem(v, index any) any {
	s.defined(v)
	if _, ok := index.(slice); ok && !indexable(v) {
		s.fail("'%s' object cannot be sliced", typeName(v))
	}
	if item, ok := s.item(v, index); ok {
		return item
	}
	if name, ok := asText(index); ok {
		if a, ok := s.attr(v, name); ok {
			return a
		}
	}
	return &undefined{in: v, of: true, name: index}
}

func (s *state) item(v, index any) (any, bool) {
	if d, ok := v.(*Dict); ok {
		id, ok := s.key(index, 0)
		if !ok {
			return nil, false
		}
		i, found := d.index[id]
		if !found {
			return nil, false
		}
		return d.values[i], true
	}
	if !indexable(v) {
		return nil, false
	}
	if part, ok := index.(slice); ok {
		return s.sliced(v, part), true
	}
	i, ok := asInt(index)
	if !ok || !i.IsInt64() {
		return nil, false
	}
	n, _ := length(v)
	at := i.Int64()
	if at < 0 {
		at += int64(n)
	}
	if at < 0 || at >= int64(n) {
		return nil, false
	}
	return s.items(v)[at], true
}

func indexable(v any) bool {
	switch v.(type) {
	case string, Markup, *List, Tuple, *group, rangeValue:
		return true
	}
	return false
}

// sliced is v[start:stop:step].
func (s *state) sliced(v any, part slice) any {
	items := s.items(v)
	step := 1
	if part.step != nil {
		if step = s.index(part.step); step == 0 {
			s.fail("slice step cannot be zero")
		}
	}
	first, last := 0, len(items)
	if step < 0 {
		first, last = len(items)-1, -1
	}
	start, stop := s.bound(part.start, first, len(items), step), s.bound(part.stop, last, len(items), step)
	var out []any
	for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
		out = append(out, items[i])
	}
	return s.like(v, out)
}

// bound is one end of a slice within a sequence of n items.
func (s *state) bound(v any, def, n, step int) int {
	if v == nil {
		return def
	}
	i := s.index(v)
	if i < 0 {
		i += n
	}
	if step < 0 {
		return min(max(i, -1), n-1)
	}
	return min(max(i, 0), n)
}

func (s *state) index(v any) int {
	i, ok := asInt(v)
	if !ok {
		s.fail("slice indices must be integers or None or have an __index__ method")
	}
	if !i.IsInt64() || i.Int64() > 1<<30 || i.Int64() < -1<<30 {
		return i.Sign() << 30
	}
	return int(i.Int64())
}

// like makes a sequence of v's type.
func (s *state) like(v any, items []any) any {
	switch v.(type) {
	case string, Markup:
		text := ""
		b := make([]byte, 0, len(items))
		for _, item := range items {
			b = append(b, item.(string)...)
		}
		text = string(b)
		if _, ok := v.(Markup); ok {
			return Markup(text)
		}
		return text
	case Tuple, *group:
		return Tuple(items)
	}
	return &List{items}
}
