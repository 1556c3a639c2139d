package jinja

import (
	"slices"
	"strings"
)

// args are the arguments of a call.
type args struct {
	pos   []any
	named []namedArg
}

type namedArg struct {
	name  string
	value any
}

// take removes a named argument.
func (a *args) take(name string) (any, bool) {
	for i, n := range a.named {
		if n.name == name {
			a.named = slices.Delete(slices.Clone(a.named), i, i+1)
			return n.value, true
		}
	}
	return nil, false
}

func (s *state) arguments(c *callArgs) args {
	a := args{pos: s.evalAll(c.pos)}
	if c.star != nil {
		a.pos = append(a.pos, s.items(s.eval(c.star))...)
	}
	for i, name := range c.names {
		a.named = append(a.named, namedArg{name, s.eval(c.named[i])})
	}
	if c.starStar != nil {
		d, ok := s.eval(c.starStar).(*Dict)
		if !ok {
			s.fail("argument after ** must be a mapping")
		}
		for i, k := range d.keys {
			name, ok := k.(string)
			if !ok {
				s.fail("keywords must be strings")
			}
			a.named = append(a.named, namedArg{name, d.values[i]})
		}
	}
	return a
}

type callExpr struct {
	line   int
	callee expr
	args   callArgs
}

func (e *callExpr) eval(s *state) any {
	f := s.eval(e.callee)
	a := s.arguments(&e.args)
	s.line = e.line
	return s.call(f, a)
}

// callable is a value that can be called.
type callable interface {
	call(s *state, a args) any
}

func (s *state) call(f any, a args) any {
	defer s.deeper()()
	if c, ok := f.(callable); ok {
		return c.call(s, a)
	}
	s.defined(f)
	s.fail("'%s' object is not callable", typeName(f))
	return nil
}

type filterExpr struct {
	line    int
	operand expr
	name    string
	args    callArgs
}

func (e *filterExpr) eval(s *state) any {
	v := s.eval(e.operand)
	a := s.arguments(&e.args)
	s.line = e.line
	return s.filter(e.name, v, a)
}

func (s *state) filter(name string, v any, a args) any {
	f, ok := s.t.lib.filters[name]
	if !ok {
		s.fail("No filter named '%s'.", name)
	}
	return f.on(s, name, v, a)
}

type testExpr struct {
	line    int
	operand expr
	name    string
	args    callArgs
}

func (e *testExpr) eval(s *state) any {
	v := s.eval(e.operand)
	a := s.arguments(&e.args)
	s.line = e.line
	return s.test(e.name, v, a)
}

func (s *state) test(name string, v any, a args) bool {
	f, ok := s.t.lib.tests[name]
	if !ok {
		s.fail("No test named '%s'.", name)
	}
	return s.truth(f.on(s, name, v, a))
}

// native is a function of this package. Its parameters are words: "name",
// "name?" (optional), "*" (the remaining positional ones, a Tuple), "**" (the
// remaining named ones, a *Dict). It gets one value for each, [missing] for
// an optional one that is not there.
type native struct {
	params string
	fn     func(s *state, v []any) any
}

// absent is the type of [missing].
type absent struct{}

var missing = absent{}

// on calls the function of a filter, test or method with what it works on, and
// pays for reading a text.
func (n native) on(s *state, name string, self any, a args) any {
	if text, ok := asText(self); ok {
		s.made(text)
	}
	v := n.bind(s, name, a)
	return n.fn(s, append([]any{self}, v...))
}

func (n native) bind(s *state, name string, a args) []any {
	var out []any
	for _, param := range strings.Fields(n.params) {
		s.charge(len(a.named))
		switch {
		case param == "*":
			out = append(out, Tuple(a.pos))
			a.pos = nil
			continue
		case param == "**":
			d := &Dict{}
			for _, n := range a.named {
				s.set(d, n.name, n.value)
			}
			a.named = nil
			out = append(out, d)
			continue
		}
		word, optional := strings.CutSuffix(param, "?")
		value, named := a.take(word)
		switch {
		case len(a.pos) > 0 && named:
			s.fail("%s() got multiple values for argument '%s'", name, word)
		case len(a.pos) > 0:
			value, a.pos = a.pos[0], a.pos[1:]
		case !named && !optional:
			s.fail("%s() missing 1 required positional argument: '%s'", name, word)
		case !named:
			value = missing
		}
		out = append(out, value)
	}
	if len(a.named) > 0 {
		s.fail("%s() got an unexpected keyword argument '%s'", name, a.named[0].name)
	}
	if len(a.pos) > 0 {
		s.fail("%s() takes fewer positional arguments", name)
	}
	return out
}

// function is a native that a template can hold: a global or a bound method.
type function struct {
	native
	name  string
	self  any
	bound bool
}

func (f *function) call(s *state, a args) any {
	if f.bound {
		return f.on(s, f.name, f.self, a)
	}
	return f.fn(s, f.bind(s, f.name, a))
}
