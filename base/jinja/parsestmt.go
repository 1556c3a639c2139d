package jinja

// statement parses the inside of a block tag.
func (p *parser) statement() stmt {
	t := p.cur()
	if t.kind != tokName {
		p.fail("tag name expected")
	}
	p.next()
	switch t.text {
	case "set":
		return p.set(t.line)
	case "for":
		return p.forLoop(t.line)
	case "if":
		return p.ifElse(t.line)
	case "with":
		return p.with(t.line)
	case "macro":
		return p.macro(t.line)
	case "call":
		return p.callBlock(t.line)
	case "filter":
		f := p.filter(nil)
		return &filterStmt{t.line, p.filters(f), p.closed("endfilter")}
	case "print":
		return p.print(t.line)
	case "do":
		return &doStmt{t.line, p.tuple(tupleRule{})}
	case "block":
		return p.namedBlock(t.line)
	case "include", "import", "from", "extends":
		return p.refused(t)
	case "autoescape":
		p.failAt(t.line, "autoescape is not supported")
	}
	p.failAt(t.line, "Encountered unknown tag '%s'.", t.text)
	return nil
}

// refused is a tag that needs another template; there is none to be had.
func (p *parser) refused(t token) stmt {
	for k := p.cur().kind; k != tokBlockEnd && k != tokEOF; k = p.cur().kind {
		p.next()
	}
	return &refusedStmt{t.line, t.text}
}

func (p *parser) set(line int) stmt {
	target := p.target("", true)
	if p.skipOp("=") {
		return &setStmt{line, target, p.tuple(tupleRule{})}
	}
	var f expr = &capture{}
	f = p.filters(f)
	return &setBlockStmt{line, target, f, p.closed("endset")}
}

func (p *parser) forLoop(line int) stmt {
	f := &forStmt{line: line, target: p.target("in", false)}
	p.expectWord("in")
	f.over = p.tuple(tupleRule{noCond: true, end: "recursive"})
	if p.skipName("if") {
		f.test = p.expression()
	}
	f.recursive = p.skipName("recursive")
	f.body = p.block(false, "endfor", "else")
	if p.next().text == "else" {
		f.otherwise = p.closed("endfor")
	}
	return f
}

func (p *parser) ifElse(line int) stmt {
	s := &ifStmt{line: line}
	for {
		test := p.tuple(tupleRule{noCond: true})
		s.tests = append(s.tests, test)
		s.bodies = append(s.bodies, p.block(true, "elif", "else", "endif"))
		switch p.next().text {
		case "else":
			s.otherwise = p.block(true, "endif")
			p.next()
			return s
		case "endif":
			return s
		}
	}
}

func (p *parser) with(line int) stmt {
	w := &withStmt{line: line}
	for p.cur().kind != tokBlockEnd {
		if len(w.targets) > 0 {
			p.expectOp(",")
		}
		w.targets = append(w.targets, p.target("", false))
		p.expectOp("=")
		w.values = append(w.values, p.expression())
	}
	w.body = p.closed("endwith")
	return w
}

func (p *parser) print(line int) stmt {
	o := &outputStmt{line: line}
	for p.cur().kind != tokBlockEnd {
		if len(o.values) > 0 {
			p.expectOp(",")
		}
		o.values = append(o.values, p.expression())
	}
	return o
}

func (p *parser) macro(line int) stmt {
	m := &macroDef{name: p.expectName()}
	p.signature(m)
	p.macroBody(m, "endmacro")
	return &macroStmt{line, m}
}

// macroBody parses the body and notes which of the special names it uses.
func (p *parser) macroBody(m *macroDef, end string) {
	p.macros = append(p.macros, m)
	m.body = p.closed(end)
	p.macros = p.macros[:len(p.macros)-1]
}

// uses notes a name for the macros that it stands in.
func (p *parser) uses(name string) {
	for _, m := range p.macros {
		m.caller = m.caller || name == "caller"
		m.varargs = m.varargs || name == "varargs"
		m.kwargs = m.kwargs || name == "kwargs"
	}
}

func (p *parser) signature(m *macroDef) {
	p.expectOp("(")
	for !p.cur().is(")") {
		if len(m.params) > 0 {
			p.expectOp(",")
		}
		m.params = append(m.params, p.expectName())
		if p.skipOp("=") {
			m.defaults = append(m.defaults, p.expression())
		} else if len(m.defaults) > 0 {
			p.fail("non-default argument follows default argument")
		} else if m.params[len(m.params)-1] == "caller" {
			p.fail(`the special "caller" argument must be omitted or be given a default`)
		}
	}
	p.expectOp(")")
}

func (p *parser) callBlock(line int) stmt {
	m := &macroDef{name: "caller"}
	if p.cur().is("(") {
		p.signature(m)
	}
	call, ok := p.expression().(*callExpr)
	if !ok {
		p.failAt(line, "expected call")
	}
	p.macroBody(m, "endcall")
	return &callStmt{line, m, call}
}

func (p *parser) namedBlock(line int) stmt {
	b := &blockStmt{line: line}
	name := p.expectName()
	b.scoped = p.skipName("scoped")
	if p.skipName("required") {
		p.failAt(line, "required blocks are not supported")
	}
	if p.cur().is("-") {
		p.fail("Block names in Jinja have to be valid Python identifiers")
	}
	b.body = p.closed("endblock")
	p.skipName(name)
	return b
}

// target is what can be assigned to: a name, names in a tuple, an attribute
// of a namespace.
func (p *parser) target(end string, namespace bool) target {
	if namespace && p.look().is(".") {
		name := p.expectName()
		p.next()
		return &attrTarget{name, p.expectName()}
	}
	line := p.cur().line
	t, ok := asTarget(p.tuple(tupleRule{simple: true, end: end}))
	if !ok {
		p.failAt(line, "can't assign to that")
	}
	return t
}

func asTarget(e expr) (target, bool) {
	switch e := e.(type) {
	case *nameExpr:
		return nameTarget(e.name), true
	case *tupleExpr:
		var out tupleTarget
		for _, item := range e.items {
			t, ok := asTarget(item)
			if !ok {
				return nil, false
			}
			out = append(out, t)
		}
		return out, true
	}
	return nil, false
}
