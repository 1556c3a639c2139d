package jinja

import "strings"

// expr is an expression.
type expr interface{ eval(*state) any }

type constExpr struct{ value any }

func (e *constExpr) eval(*state) any { return e.value }

// capture stands for the body of the block that a filter is applied to.
type capture struct{}

func (*capture) eval(s *state) any { return s.body }

type nameExpr struct{ name string }

func (e *nameExpr) eval(s *state) any {
	if v, ok := s.lookup(e.name); ok {
		return v
	}
	return &undefined{name: e.name}
}

type tupleExpr struct{ items []expr }

func (e *tupleExpr) eval(s *state) any { return Tuple(s.evalAll(e.items)) }

type listExpr struct{ items []expr }

func (e *listExpr) eval(s *state) any { return &List{s.evalAll(e.items)} }

func (s *state) evalAll(items []expr) []any {
	out := make([]any, 0, len(items))
	for _, item := range items {
		out = append(out, s.eval(item))
	}
	return out
}

type dictExpr struct {
	line         int
	keys, values []expr
}

func (e *dictExpr) eval(s *state) any {
	d := &Dict{}
	for i, k := range e.keys {
		key := s.eval(k)
		s.set(d, key, s.eval(e.values[i]))
	}
	return d
}

type condExpr struct {
	line                  int
	test, then, otherwise expr
}

func (e *condExpr) eval(s *state) any {
	switch {
	case s.truth(s.eval(e.test)):
		return s.eval(e.then)
	case e.otherwise != nil:
		return s.eval(e.otherwise)
	}
	return &undefined{silent: true, hint: "the inline if-expression evaluated to false and no else section was defined."}
}

// logicExpr is "or" and "and": the first item whose truth is stop, else the
// last.
type logicExpr struct {
	stop  bool
	items []expr
}

func (e *logicExpr) eval(s *state) any {
	var v any
	for _, item := range e.items {
		if v = s.eval(item); s.truth(v) == e.stop {
			break
		}
	}
	return v
}

type notExpr struct{ operand expr }

func (e *notExpr) eval(s *state) any { return !s.truth(s.eval(e.operand)) }

type compareExpr struct {
	line     int
	first    expr
	ops      []string
	operands []expr
}

func (e *compareExpr) add(op string, operand expr) {
	e.ops = append(e.ops, op)
	e.operands = append(e.operands, operand)
}

func (e *compareExpr) eval(s *state) any {
	left := s.eval(e.first)
	for i, op := range e.ops {
		right := s.eval(e.operands[i])
		s.line = e.line
		if !s.compare(op, left, right) {
			return false
		}
		left = right
	}
	return true
}

type binaryExpr struct {
	line        int
	op          string
	left, right expr
}

func (e *binaryExpr) eval(s *state) any {
	left := s.eval(e.left)
	right := s.eval(e.right)
	s.line = e.line
	return s.binary(e.op, left, right)
}

type unaryExpr struct {
	line    int
	op      string
	operand expr
}

func (e *unaryExpr) eval(s *state) any {
	v := s.eval(e.operand)
	s.line = e.line
	return s.unary(e.op, v)
}

type concatExpr struct{ items []expr }

func (e *concatExpr) eval(s *state) any {
	var text strings.Builder
	for _, item := range e.items {
		text.WriteString(s.made(s.text(s.eval(item))))
	}
	return text.String()
}

type attrExpr struct {
	line    int
	operand expr
	name    string
}

func (e *attrExpr) eval(s *state) any {
	v := s.eval(e.operand)
	s.line = e.line
	return s.getAttr(v, e.name)
}

type itemExpr struct {
	line           int
	operand, index expr
}

func (e *itemExpr) eval(s *state) any {
	v := s.eval(e.operand)
	index := s.eval(e.index)
	s.line = e.line
	return s.getItem(v, index)
}

// slice is a subscript with colons; nil where nothing was written.
type slice struct{ start, stop, step any }

type sliceExpr struct{ parts [3]expr }

func (e *sliceExpr) eval(s *state) any {
	var v [3]any
	for i, part := range e.parts {
		if part != nil {
			v[i] = s.eval(part)
		}
	}
	return slice{v[0], v[1], v[2]}
}
