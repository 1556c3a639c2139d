package jinja

import "slices"

type macroStmt struct {
	line int
	def  *macroDef
}

func (m *macroStmt) exec(s *state) { s.scope.vars[m.def.name] = &macro{m.def, s.scope} }

// callStmt is {% call f(x) %}body{% endcall %}.
type callStmt struct {
	line   int
	caller *macroDef
	call   *callExpr
}

func (c *callStmt) exec(s *state) {
	s.line = c.line
	f := s.eval(c.call.callee)
	a := s.arguments(&c.call.args)
	a.named = append(a.named, namedArg{"caller", &macro{c.caller, s.scope}})
	s.write(s.text(s.call(f, a)))
}

// macroDef is a macro as written.
type macroDef struct {
	name     string
	params   []string
	defaults []expr // of the last parameters
	body     []stmt

	caller, varargs, kwargs bool // the body uses the name
}

// macro is a macro and the scope that it was defined in.
type macro struct {
	def   *macroDef
	scope *scope
}

func (m *macro) attr(s *state, name string) (any, bool) {
	switch name {
	case "name":
		return m.def.name, true
	case "arguments":
		var names Tuple
		for _, p := range m.def.params {
			names = append(names, p)
		}
		return names, true
	case "catch_kwargs":
		return m.def.kwargs, true
	case "catch_varargs":
		return m.def.varargs, true
	case "caller":
		return m.def.caller, true
	}
	return nil, false
}

// call follows jinja2/runtime.py Macro, 3.1.2.
func (m *macro) call(s *state, a args) any {
	line := s.line
	text := s.captured(func() {
		s.within(m.scope, func() {
			m.bind(s, a)
			s.run(m.def.body)
		})
	})
	s.line = line
	return text
}

// bind makes variables of the arguments.
func (m *macro) bind(s *state, a args) {
	d, vars := m.def, s.scope.vars
	s.charge(len(d.params))
	given := min(len(a.pos), len(d.params))
	for i, value := range a.pos[:given] {
		vars[d.params[i]] = value
	}
	for i := given; i < len(d.params); i++ {
		name := d.params[i]
		s.charge(1 + len(a.named))
		if v, ok := a.take(name); ok {
			vars[name] = v
		} else if n := i - (len(d.params) - len(d.defaults)); n >= 0 {
			vars[name] = s.eval(d.defaults[n])
		} else {
			vars[name] = &undefined{name: name, hint: "parameter '" + name + "' was not provided"}
		}
	}
	if d.caller && !slices.Contains(d.params, "caller") {
		v, ok := a.take("caller")
		if !ok || v == nil {
			v = &undefined{name: "caller", hint: "No caller defined"}
		}
		vars["caller"] = v
	}
	m.bindRest(s, a, given)
}

func (m *macro) bindRest(s *state, a args, given int) {
	if m.def.kwargs {
		kwargs := &Dict{}
		for _, n := range a.named {
			s.set(kwargs, n.name, n.value)
		}
		s.scope.vars["kwargs"] = kwargs
	} else if len(a.named) > 0 {
		s.fail("macro '%s' takes no keyword argument '%s'", m.def.name, a.named[0].name)
	}
	if m.def.varargs {
		s.scope.vars["varargs"] = Tuple(a.pos[given:])
	} else if len(a.pos) > given {
		s.fail("macro '%s' takes not more than %d argument(s)", m.def.name, len(m.def.params))
	}
}
