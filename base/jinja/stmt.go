package jinja

// stmt is a piece of a template that is executed.
type stmt interface{ exec(*state) }

type dataStmt struct{ text string }

func (d *dataStmt) exec(s *state) { s.write(d.text) }

// outputStmt is {{ value }} and {% print values %}.
type outputStmt struct {
	line   int
	values []expr
}

func (o *outputStmt) exec(s *state) {
	for _, e := range o.values {
		s.line = o.line
		s.write(s.text(s.eval(e)))
	}
}

type doStmt struct {
	line  int
	value expr
}

func (d *doStmt) exec(s *state) {
	s.line = d.line
	s.eval(d.value)
}

type refusedStmt struct {
	line int
	tag  string
}

func (r *refusedStmt) exec(s *state) {
	s.line = r.line
	s.fail("no loader for this environment specified: %s is refused", r.tag)
}

type ifStmt struct {
	line      int
	tests     []expr
	bodies    [][]stmt
	otherwise []stmt
}

func (i *ifStmt) exec(s *state) {
	s.line = i.line
	for n, test := range i.tests {
		if s.truth(s.eval(test)) {
			s.run(i.bodies[n])
			return
		}
	}
	s.run(i.otherwise)
}

type setStmt struct {
	line   int
	target target
	value  expr
}

func (t *setStmt) exec(s *state) {
	s.line = t.line
	v := s.eval(t.value)
	s.line = t.line
	t.target.assign(s, v)
}

// setBlockStmt is {% set x %}…{% endset %}.
type setBlockStmt struct {
	line   int
	target target
	filter expr
	body   []stmt
}

func (t *setBlockStmt) exec(s *state) {
	t.target.assign(s, s.filtered(t.line, t.body, t.filter))
}

// filterStmt is {% filter f %}…{% endfilter %}.
type filterStmt struct {
	line   int
	filter expr
	body   []stmt
}

func (f *filterStmt) exec(s *state) {
	s.write(s.text(s.filtered(f.line, f.body, f.filter)))
}

// filtered is what filter, whose innermost operand is a [capture], makes of
// what body writes.
func (s *state) filtered(line int, body []stmt, filter expr) any {
	text := s.captured(func() { s.within(s.scope, func() { s.run(body) }) })
	s.line = line
	was := s.body
	s.body = text
	v := s.eval(filter)
	s.body = was
	return v
}

type withStmt struct {
	line    int
	targets []target
	values  []expr
	body    []stmt
}

func (w *withStmt) exec(s *state) {
	s.line = w.line
	values := s.evalAll(w.values)
	s.within(s.scope, func() {
		for i, t := range w.targets {
			t.assign(s, values[i])
		}
		s.run(w.body)
	})
}

// blockStmt is {% block name %}, which nothing can override here. Unless it is
// scoped it sees the variables of the template alone.
type blockStmt struct {
	line   int
	scoped bool
	body   []stmt
}

func (b *blockStmt) exec(s *state) {
	parent := s.root
	if b.scoped {
		parent = s.scope
	}
	s.within(parent, func() { s.run(b.body) })
}

// target is what is assigned to.
type target interface{ assign(*state, any) }

type nameTarget string

func (n nameTarget) assign(s *state, v any) { s.scope.vars[string(n)] = v }

type tupleTarget []target

func (t tupleTarget) assign(s *state, v any) {
	items := s.items(v)
	switch {
	case len(items) > len(t):
		s.fail("too many values to unpack (expected %d)", len(t))
	case len(items) < len(t):
		s.fail("not enough values to unpack (expected %d, got %d)", len(t), len(items))
	}
	for i, item := range items {
		t[i].assign(s, item)
	}
}

// attrTarget is an attribute of a namespace.
type attrTarget struct{ name, attr string }

func (t *attrTarget) assign(s *state, v any) {
	value, _ := s.lookup(t.name)
	ns, ok := value.(*namespace)
	if !ok {
		s.fail("cannot assign attribute on non-namespace object")
	}
	s.set(&ns.vars, t.attr, v)
}

// namespace is an object whose attributes can be assigned in inner scopes.
type namespace struct{ vars Dict }
