package jinja

import (
	"math/big"
	"strings"
	"unicode"
)

// predicate is a test without arguments.
func predicate(f func(v any) bool) native {
	return native{"", func(_ *state, v []any) any { return f(v[0]) }}
}

// comparison is a test that is an operator.
func comparison(op string) native {
	return native{"other", func(s *state, v []any) any { return s.compare(op, v[0], v[1]) }}
}

// tests are Jinja's (jinja2/tests.py, 3.1.2).
func tests() map[string]native {
	return map[string]native{
		"odd":         {"", func(s *state, v []any) any { return s.equal(s.binary("%", v[0], number(2)), number(1)) }},
		"even":        {"", func(s *state, v []any) any { return s.equal(s.binary("%", v[0], number(2)), number(0)) }},
		"divisibleby": {"num", func(s *state, v []any) any { return s.equal(s.binary("%", v[0], v[1]), number(0)) }},
		"defined":     predicate(func(v any) bool { return !isUndefined(v) }),
		"undefined":   predicate(isUndefined),
		"filter":      {"", func(s *state, v []any) any { return known(s.t.lib.filters, v[0]) }},
		"test":        {"", func(s *state, v []any) any { return known(s.t.lib.tests, v[0]) }},
		"none":        predicate(func(v any) bool { return v == nil }),
		"boolean":     predicate(func(v any) bool { _, ok := v.(bool); return ok }),
		"false":       predicate(func(v any) bool { b, ok := v.(bool); return ok && !b }),
		"true":        predicate(func(v any) bool { b, ok := v.(bool); return ok && b }),
		"integer":     predicate(func(v any) bool { _, ok := v.(*big.Int); return ok }),
		"float":       predicate(func(v any) bool { _, ok := v.(float64); return ok }),
		"lower":       {"", func(s *state, v []any) any { return isCase(s.text(v[0]), unicode.IsLower, unicode.IsUpper) }},
		"upper":       {"", func(s *state, v []any) any { return isCase(s.text(v[0]), unicode.IsUpper, unicode.IsLower) }},
		"string":      predicate(func(v any) bool { _, ok := asText(v); return ok }),
		"mapping":     predicate(func(v any) bool { _, ok := v.(*Dict); return ok }),
		"number":      predicate(func(v any) bool { _, ok := asNumber(v); return ok }),
		"sequence":    predicate(isSequence),
		"iterable":    predicate(isIterable),
		"callable":    predicate(func(v any) bool { _, ok := v.(callable); return ok || isUndefined(v) }),
		"sameas":      {"other", func(s *state, v []any) any { return same(v[0], v[1]) }},
		"escaped":     predicate(func(v any) bool { _, ok := v.(Markup); return ok }),
		"in":          {"seq", func(s *state, v []any) any { return s.contains(v[1], v[0]) }},
		"==":          comparison("=="),
		"eq":          comparison("=="),
		"equalto":     comparison("=="),
		"!=":          comparison("!="),
		"ne":          comparison("!="),
		">":           comparison(">"),
		"gt":          comparison(">"),
		"greaterthan": comparison(">"),
		"ge":          comparison(">="),
		">=":          comparison(">="),
		"<":           comparison("<"),
		"lt":          comparison("<"),
		"lessthan":    comparison("<"),
		"<=":          comparison("<="),
		"le":          comparison("<="),
	}
}

func isUndefined(v any) bool {
	_, ok := v.(*undefined)
	return ok
}

func known(names map[string]native, v any) bool {
	name, _ := asText(v)
	_, ok := names[name]
	return ok
}

func isSequence(v any) bool {
	_, isDict := v.(*Dict)
	return isDict || indexable(v) || isUndefined(v)
}

func isIterable(v any) bool {
	switch v.(type) {
	case *view, *generator, *Dict, *undefined, *loop:
		return true
	}
	return indexable(v)
}

// same is Python's "is", as far as values here have an identity: small
// integers and texts do not.
func same(a, b any) bool {
	switch a.(type) {
	case Tuple, slice, *group:
		return false
	}
	switch b.(type) {
	case Tuple, slice, *group:
		return false
	}
	x, isInt := a.(*big.Int)
	y, alsoInt := b.(*big.Int)
	if isInt && alsoInt {
		return x.Cmp(y) == 0 && x.IsInt64() && x.Int64() >= -5 && x.Int64() <= 256
	}
	return a == b
}

// isCase tells whether text has letters of one case and none of the other.
func isCase(text string, is, other func(rune) bool) bool {
	return strings.ContainsFunc(text, is) && !strings.ContainsFunc(text, func(r rune) bool { return other(r) || unicode.IsTitle(r) })
}
