package jinja

import (
	"math"
	"strings"
)

// compare is a comparison operator.
func (s *state) compare(op string, a, b any) bool {
	switch op {
	case "==":
		return s.equal(a, b)
	case "!=":
		return !s.equal(a, b)
	case "in":
		return s.contains(b, a)
	case "not in":
		return !s.contains(b, a)
	case ">":
		return s.ordered(op, b, a, true)
	case "<=":
		return !s.ordered(op, b, a, true) && !unordered(a, b)
	case ">=":
		return !s.ordered(op, a, b, false) && !unordered(a, b)
	}
	return s.ordered(op, a, b, false)
}

// unordered tells whether one of them is not a number.
func unordered(a, b any) bool {
	f, isF := a.(float64)
	g, isG := b.(float64)
	return isF && math.IsNaN(f) || isG && math.IsNaN(g)
}

// less is a < b, for sorting.
func (s *state) less(a, b any) bool { return s.ordered("<", a, b, false) }

// ordered is a < b; op and swapped are for the message.
func (s *state) ordered(op string, a, b any, swapped bool) bool {
	s.charge(1)
	s.defined(a)
	s.defined(b)
	if x, ok := asNumber(a); ok {
		if y, ok := asNumber(b); ok {
			return !unordered(a, b) && x.Cmp(y) < 0
		}
	}
	if x, ok := asText(a); ok {
		if y, ok := asText(b); ok {
			s.charge(min(len(x), len(y)) / 32)
			return x < y
		}
	}
	x, isList := a.(*List)
	y, alsoList := b.(*List)
	if isList && alsoList {
		return s.lessItems(op, x.Items, y.Items, swapped)
	}
	v, isTuple := asTuple(a)
	w, alsoTuple := asTuple(b)
	if isTuple && alsoTuple {
		return s.lessItems(op, v, w, swapped)
	}
	if swapped {
		a, b = b, a
	}
	s.fail("'%s' not supported between instances of '%s' and '%s'", op, typeName(a), typeName(b))
	return false
}

func (s *state) lessItems(op string, a, b []any, swapped bool) bool {
	defer s.deeper()()
	for i := range min(len(a), len(b)) {
		if !s.equal(a[i], b[i]) {
			return s.ordered(op, a[i], b[i], swapped)
		}
	}
	return len(a) < len(b)
}

func (s *state) equal(a, b any) bool {
	s.charge(1)
	if x, ok := asNumber(a); ok {
		y, ok := asNumber(b)
		return ok && !unordered(a, b) && x.Cmp(y) == 0
	}
	if x, ok := asText(a); ok {
		y, ok := asText(b)
		s.charge(min(len(x), len(y)) / 32)
		return ok && x == y
	}
	if x, ok := asTuple(a); ok {
		y, ok := asTuple(b)
		return ok && s.equalItems(x, y)
	}
	switch a := a.(type) {
	case *List:
		b, ok := b.(*List)
		return ok && (a == b || s.equalItems(a.Items, b.Items))
	case *Dict:
		b, ok := b.(*Dict)
		return ok && (a == b || s.equalDicts(a, b))
	case *undefined:
		_, ok := b.(*undefined)
		return ok
	case slice:
		return false
	}
	switch b.(type) {
	case Tuple, slice:
		return false
	}
	return a == b
}

func (s *state) equalItems(a, b []any) bool {
	defer s.deeper()()
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !s.equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

func (s *state) equalDicts(a, b *Dict) bool {
	defer s.deeper()()
	if len(a.keys) != len(b.keys) {
		return false
	}
	for id, i := range a.index {
		j, ok := b.index[id]
		if !ok || !s.equal(a.values[i], b.values[j]) {
			return false
		}
	}
	return true
}

// contains is item in v.
func (s *state) contains(v, item any) bool {
	if text, ok := asText(v); ok {
		part, ok := asText(item)
		if !ok {
			s.defined(item)
			s.fail("'in <string>' requires string as left operand, not %s", typeName(item))
		}
		s.charge(len(text) / 32)
		return strings.Contains(text, part)
	}
	if d, ok := v.(*Dict); ok {
		_, found := d.index[s.hash(item)]
		return found
	}
	items, ok := s.iterate(v)
	if !ok {
		s.fail("argument of type '%s' is not iterable", typeName(v))
	}
	for _, have := range items {
		if s.equal(have, item) {
			return true
		}
	}
	return false
}
