package jinja

// maxInRow bounds what may follow one another: a.b.c|d|e, 1+2+3.
const maxInRow = 500

func (p *parser) postfix(e expr) expr {
	for n := 0; ; n++ {
		t := p.cur()
		switch {
		case n > maxInRow:
			p.fail("more than %d subscripts in a row", maxInRow)
		case t.is("."):
			e = p.dot(e)
		case t.is("["):
			e = p.subscript(e)
		case t.is("("):
			e = &callExpr{t.line, e, p.arguments()}
		default:
			return e
		}
	}
}

func (p *parser) dot(e expr) expr {
	line := p.next().line
	t := p.next()
	switch t.kind {
	case tokName:
		return &attrExpr{line, e, t.text}
	case tokInt:
		return &itemExpr{line, e, &constExpr{p.integer(t)}}
	}
	p.failAt(t.line, "expected name or number")
	return nil
}

func (p *parser) subscript(e expr) expr {
	line := p.next().line
	var items []expr
	for !p.cur().is("]") {
		if len(items) > 0 {
			p.expectOp(",")
		}
		items = append(items, p.slice())
	}
	p.expectOp("]")
	if len(items) == 0 {
		p.failAt(line, "expected subscript expression")
	}
	if len(items) == 1 {
		return &itemExpr{line, e, items[0]}
	}
	return &itemExpr{line, e, &tupleExpr{items}}
}

// slice parses one subscript, which may be start:stop:step.
func (p *parser) slice() expr {
	var parts [3]expr
	if !p.cur().is(":") {
		parts[0] = p.expression()
		if !p.cur().is(":") {
			return parts[0]
		}
	}
	for i := 1; i < 3 && p.skipOp(":"); i++ {
		if t := p.cur(); !t.is(":") && !t.is("]") && !t.is(",") {
			parts[i] = p.expression()
		}
	}
	return &sliceExpr{parts}
}

// callArgs are the arguments of a call as written.
type callArgs struct {
	pos      []expr
	names    []string
	named    []expr
	star     expr // *args
	starStar expr // **kwargs
}

func (p *parser) arguments() callArgs {
	var a callArgs
	line := p.cur().line
	ensure := func(ok bool) {
		if !ok {
			p.failAt(line, "invalid syntax for function call expression")
		}
	}
	p.expectOp("(")
	p.list(")", func() {
		switch {
		case p.skipOp("*"):
			ensure(a.star == nil && a.starStar == nil)
			a.star = p.expression()
		case p.skipOp("**"):
			ensure(a.starStar == nil)
			a.starStar = p.expression()
		case p.cur().kind == tokName && p.look().is("="):
			ensure(a.starStar == nil)
			a.names = append(a.names, p.next().text)
			p.next()
			a.named = append(a.named, p.expression())
		default:
			ensure(a.star == nil && a.starStar == nil && len(a.named) == 0)
			a.pos = append(a.pos, p.expression())
		}
	})
	return a
}

// filterExpr parses what filters, tests and calls follow e.
func (p *parser) filterExpr(e expr) expr {
	for n := 0; ; n++ {
		t := p.cur()
		switch {
		case n > maxInRow:
			p.fail("more than %d filters in a row", maxInRow)
		case t.is("|"):
			p.next()
			e = p.filter(e)
		case t.name("is"):
			p.next()
			e = p.test(e)
		case t.is("("):
			e = &callExpr{t.line, e, p.arguments()}
		default:
			return e
		}
	}
}

// filters parses |name…, as often as it is there.
func (p *parser) filters(e expr) expr {
	for n := 0; p.skipOp("|"); n++ {
		if n > maxInRow {
			p.fail("more than %d filters in a row", maxInRow)
		}
		e = p.filter(e)
	}
	return e
}

// filter parses the name of a filter and its arguments. Without an operand it
// takes the body of its block.
func (p *parser) filter(e expr) expr {
	if e == nil {
		e = &capture{}
	}
	f := &filterExpr{line: p.cur().line, operand: e, name: p.dotted()}
	if p.cur().is("(") {
		f.args = p.arguments()
	}
	if _, ok := p.lib.filters[f.name]; !ok && !p.soft {
		p.failAt(f.line, "No filter named '%s'.", f.name)
	}
	return f
}

func (p *parser) dotted() string {
	name := p.expectName()
	for p.skipOp(".") {
		name += "." + p.expectName()
	}
	return name
}

func (p *parser) test(e expr) expr {
	line := p.cur().line
	negated := p.skipName("not")
	t := &testExpr{line: line, operand: e, name: p.dotted()}
	switch c := p.cur(); {
	case c.is("("):
		t.args = p.arguments()
	case c.name("is"):
		p.fail("You cannot chain multiple tests with is")
	case c.name("else"), c.name("or"), c.name("and"):
	case c.kind == tokName, c.kind == tokString, c.kind == tokInt, c.kind == tokFloat, c.is("["), c.is("{"):
		t.args.pos = []expr{p.postfix(p.primary())}
	}
	if _, ok := p.lib.tests[t.name]; !ok && !p.soft {
		p.failAt(line, "No test named '%s'.", t.name)
	}
	if negated {
		return &notExpr{t}
	}
	return t
}
