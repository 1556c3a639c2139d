package jinja

import "slices"

// listMethods are those of Python's list.
func listMethods() map[string]native {
	m := map[string]native{
		"append": {"object", func(s *state, v []any) any { return s.insert(v[0].(*List), len(v[0].(*List).Items), v[1]) }},
		"extend": {"iterable", func(s *state, v []any) any { return s.insert(v[0].(*List), len(v[0].(*List).Items), s.items(v[1])...) }},
		"insert": {"index object", func(s *state, v []any) any {
			l := v[0].(*List)
			return s.insert(l, s.bound(v[1], 0, len(l.Items), 1), v[2])
		}},
		"pop": {"index?", popItem},
		"remove": {"value", func(s *state, v []any) any {
			l := v[0].(*List)
			i := s.position(l.Items, v[1])
			l.Items = slices.Delete(slices.Clone(l.Items), i, i+1)
			return nil
		}},
		"clear":   {"", func(s *state, v []any) any { v[0].(*List).Items = nil; return nil }},
		"copy":    {"", func(s *state, v []any) any { return &List{slices.Clone(s.items(v[0]))} }},
		"reverse": {"", func(s *state, v []any) any { return s.reorder(v[0].(*List), slices.Reverse) }},
		"sort": {"reverse?", func(s *state, v []any) any {
			l := v[0].(*List)
			l.Items = s.sorted(s.items(l), func(item any) any { return item }, s.boolArg(v[1]))
			return nil
		}},
	}
	for name, n := range tupleMethods() {
		m[name] = n
	}
	return m
}

// tupleMethods are those of Python's tuple, which a list has too.
func tupleMethods() map[string]native {
	return map[string]native{
		"index": {"value", func(s *state, v []any) any { return number(s.position(s.items(v[0]), v[1])) }},
		"count": {"value", func(s *state, v []any) any {
			n := 0
			for _, item := range s.items(v[0]) {
				n += btoi(s.equal(item, v[1]))
			}
			return number(n)
		}},
	}
}

func (s *state) insert(l *List, at int, items ...any) any {
	s.charge(len(items) + 1)
	if at == len(l.Items) {
		l.Items = append(l.Items, items...)
		return nil
	}
	s.charge(len(l.Items) / 8)
	l.Items = slices.Insert(slices.Clone(l.Items), at, items...)
	return nil
}

func (s *state) reorder(l *List, f func([]any)) any {
	l.Items = slices.Clone(s.items(l))
	f(l.Items)
	return nil
}

func (s *state) position(items []any, value any) int {
	i := slices.IndexFunc(items, func(item any) bool { return s.equal(item, value) })
	if i < 0 {
		s.fail("%s is not in list", repr(value))
	}
	return i
}

func popItem(s *state, v []any) any {
	l := v[0].(*List)
	i := s.intArg(v[1], -1)
	if i < 0 {
		i += len(l.Items)
	}
	if i < 0 || i >= len(l.Items) {
		s.fail("pop index out of range")
	}
	s.charge(len(l.Items) / 8)
	item := l.Items[i]
	l.Items = slices.Delete(slices.Clone(l.Items), i, i+1)
	return item
}

// dictMethods are those of Python's dict.
func dictMethods() map[string]native {
	return map[string]native{
		"keys":   {"", func(_ *state, v []any) any { return &view{"dict_keys", v[0].(*Dict)} }},
		"values": {"", func(_ *state, v []any) any { return &view{"dict_values", v[0].(*Dict)} }},
		"items":  {"", func(_ *state, v []any) any { return &view{"dict_items", v[0].(*Dict)} }},
		"get":    {"key default?", func(s *state, v []any) any { return s.valueOr(v, none(v[2])) }},
		"copy":   {"", func(s *state, v []any) any { return newDict(s, []any{Tuple{v[0]}, &Dict{}}) }},
		"clear":  {"", func(_ *state, v []any) any { *v[0].(*Dict) = Dict{}; return nil }},
		"update": {"* **", func(s *state, v []any) any {
			for _, from := range append(slices.Clone(v[1].(Tuple)), v[2]) {
				s.update(v[0].(*Dict), from)
			}
			return nil
		}},
		"setdefault": {"key default?", func(s *state, v []any) any {
			value := s.valueOr(v, none(v[2]))
			s.set(v[0].(*Dict), v[1], value)
			return value
		}},
		"pop":     {"key default?", popKey},
		"popitem": {"", popLast},
	}
}

// valueOr is the value of a key, or def.
func (s *state) valueOr(v []any, def any) any {
	d := v[0].(*Dict)
	if i, ok := d.index[s.hash(v[1])]; ok {
		return d.values[i]
	}
	return def
}

func popKey(s *state, v []any) any {
	d, id := v[0].(*Dict), s.hash(v[1])
	if _, ok := d.index[id]; ok {
		s.charge(len(d.keys))
		return d.remove(id)
	}
	if v[2] == missing {
		s.fail("KeyError: %s", repr(v[1]))
	}
	return v[2]
}

func popLast(s *state, v []any) any {
	d := v[0].(*Dict)
	if len(d.keys) == 0 {
		s.fail("popitem(): dictionary is empty")
	}
	key := d.keys[len(d.keys)-1]
	s.charge(len(d.keys))
	return Tuple{key, d.remove(s.hash(key))}
}
