package jinja

import (
	"math/big"
	"strings"
)

// joined is a + b for texts, lists and tuples; nil for others.
func (s *state) joined(a, b any) any {
	x, isText := asText(a)
	y, alsoText := asText(b)
	_, marked := a.(Markup)
	_, alsoMarked := b.(Markup)
	switch {
	case isText && alsoText && (marked || alsoMarked):
		return Markup(s.made(string(escape(a, s) + escape(b, s))))
	case isText && alsoText:
		s.afford(len(x)+len(y), 1)
		return s.made(x + y)
	}
	if l, ok := a.(*List); ok {
		if m, ok := b.(*List); ok {
			s.charge(len(l.Items) + len(m.Items))
			return &List{append(append([]any{}, l.Items...), m.Items...)}
		}
	}
	if t, ok := asTuple(a); ok {
		if u, ok := asTuple(b); ok {
			s.charge(len(t) + len(u))
			return append(append(Tuple{}, t...), u...)
		}
	}
	return nil
}

// repeated is a * times for texts, lists and tuples; nil for others.
func (s *state) repeated(a any, times *big.Int) any {
	n := 0
	if times.Sign() > 0 {
		n = s.small(times)
	}
	switch a := a.(type) {
	case string:
		s.afford(n, len(a))
		return s.made(strings.Repeat(a, n))
	case Markup:
		s.afford(n, len(a))
		return Markup(s.made(strings.Repeat(string(a), n)))
	case *List:
		return &List{s.repeatItems(a.Items, n)}
	case Tuple:
		return Tuple(s.repeatItems(a, n))
	}
	return nil
}

func (s *state) repeatItems(items []any, n int) []any {
	s.afford(n, 32*len(items))
	s.charge(n * len(items))
	out := make([]any, 0, n*len(items))
	for range n {
		out = append(out, items...)
	}
	return out
}

// small is an integer that counts something here.
func (s *state) small(i *big.Int) int {
	if !i.IsInt64() || i.Int64() > 1<<30 || i.Int64() < -1<<30 {
		s.fail("cannot fit 'int' into an index-sized integer")
	}
	return int(i.Int64())
}
