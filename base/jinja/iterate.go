package jinja

import (
	"math/big"
	"unicode/utf8"
)

// truth is Python's bool().
func (s *state) truth(v any) bool {
	switch v := v.(type) {
	case nil, *undefined:
		return false
	case bool:
		return v
	case *big.Int:
		return v.Sign() != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case Markup:
		return v != ""
	}
	n, ok := length(v)
	return !ok || n > 0
}

// length is Python's len(); false for what has none.
func length(v any) (int, bool) {
	switch v := v.(type) {
	case string:
		return utf8.RuneCountInString(v), true
	case Markup:
		return utf8.RuneCountInString(string(v)), true
	case *List:
		return len(v.Items), true
	case Tuple:
		return len(v), true
	case *group:
		return len(v.Tuple), true
	case *Dict:
		return len(v.keys), true
	case *view:
		return len(v.dict.keys), true
	case rangeValue:
		return v.len(), true
	case *undefined:
		return 0, true
	case *loop:
		return len(v.items), true
	}
	return 0, false
}

// iterate lists the items of a value; false for what has none. It pays for
// them.
func (s *state) iterate(v any) ([]any, bool) {
	if n, ok := length(v); ok {
		s.charge(n)
	}
	switch v := v.(type) {
	case string:
		return runes(v), true
	case Markup:
		return runes(string(v)), true
	case *List:
		return v.Items[:len(v.Items):len(v.Items)], true
	case Tuple:
		return v, true
	case *group:
		return v.Tuple, true
	case *Dict:
		return v.keys[:len(v.keys):len(v.keys)], true
	case *view:
		return v.items(), true
	case rangeValue:
		out := make([]any, v.len())
		for i := range out {
			out[i] = number(v.start + i*v.step)
		}
		return out, true
	case *generator:
		out := v.items
		v.items = nil
		return out, true
	case *undefined:
		return nil, true
	}
	return nil, false
}

func runes(text string) []any {
	var out []any
	for _, r := range text {
		out = append(out, string(r))
	}
	return out
}

// items is iterate where nothing else will do. The result is not to be
// changed.
func (s *state) items(v any) []any {
	out, ok := s.iterate(v)
	if !ok {
		s.fail("'%s' object is not iterable", typeName(v))
	}
	return out
}
