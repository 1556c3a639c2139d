package jinja

import "math/big"

type forStmt struct {
	line      int
	target    target
	over      expr
	test      expr // nil without
	recursive bool
	body      []stmt
	otherwise []stmt
}

func (f *forStmt) exec(s *state) {
	s.line = f.line
	f.loop(s, s.eval(f.over), s.scope, 0)
}

// loop runs the body for every item, as the loop of that depth.
func (f *forStmt) loop(s *state, over any, parent *scope, depth int) {
	items := f.chosen(s, s.items(over), parent)
	l := &loop{items: items, depth: depth, stmt: f, parent: parent}
	for i, item := range items {
		l.index = i
		s.charge(1)
		s.within(parent, func() {
			s.scope.vars["loop"] = l
			s.line = f.line
			f.target.assign(s, item)
			s.run(f.body)
		})
	}
	if len(items) == 0 {
		s.within(parent, func() { s.run(f.otherwise) })
	}
}

// chosen are the items that pass the loop's own condition.
func (f *forStmt) chosen(s *state, items []any, parent *scope) []any {
	if f.test == nil {
		return items
	}
	var out []any
	for _, item := range items {
		s.within(parent, func() {
			s.line = f.line
			f.target.assign(s, item)
			if s.truth(s.eval(f.test)) {
				out = append(out, item)
			}
		})
	}
	return out
}

// loop is the variable of that name in a for loop.
type loop struct {
	items   []any
	index   int // from 0
	depth   int // from 0
	changed any // what changed was last asked about
	stmt    *forStmt
	parent  *scope
}

// call is loop(items) in a recursive loop.
func (l *loop) call(s *state, a args) any {
	if !l.stmt.recursive {
		s.fail("The loop must have the 'recursive' marker to be called recursively.")
	}
	if len(a.pos) != 1 || len(a.named) > 0 {
		s.fail("loop() takes 1 positional argument")
	}
	return s.captured(func() { l.stmt.loop(s, a.pos[0], l.parent, l.depth+1) })
}

func (l *loop) attr(s *state, name string) (any, bool) {
	n := len(l.items)
	switch name {
	case "index":
		return number(l.index + 1), true
	case "index0":
		return number(l.index), true
	case "revindex":
		return number(n - l.index), true
	case "revindex0":
		return number(n - l.index - 1), true
	case "first":
		return l.index == 0, true
	case "last":
		return l.index == n-1, true
	case "length":
		return number(n), true
	case "depth":
		return number(l.depth + 1), true
	case "depth0":
		return number(l.depth), true
	case "previtem":
		if l.index == 0 {
			return &undefined{hint: "there is no previous item"}, true
		}
		return l.items[l.index-1], true
	case "nextitem":
		if l.index == n-1 {
			return &undefined{hint: "there is no next item"}, true
		}
		return l.items[l.index+1], true
	case "cycle":
		return &function{native: native{"*", l.cycle}, name: name}, true
	case "changed":
		return &function{native: native{"*", l.hasChanged}, name: name}, true
	}
	return nil, false
}

func (l *loop) cycle(s *state, v []any) any {
	items := v[0].(Tuple)
	if len(items) == 0 {
		s.fail("no items for cycling given")
	}
	return items[l.index%len(items)]
}

func (l *loop) hasChanged(s *state, v []any) any {
	if l.changed != nil && s.equal(l.changed, v[0]) {
		return false
	}
	l.changed = v[0]
	return true
}

func number(n int) *big.Int { return big.NewInt(int64(n)) }
