package jinja

import "strings"

// tupleRule tells how a possible tuple is parsed: only names and literals,
// without conditional expressions, and what name ends it besides.
type tupleRule struct {
	simple, noCond, parens bool
	end                    string
}

// tuple parses one expression, or several with commas between them.
func (p *parser) tuple(r tupleRule) expr {
	defer p.enter()()
	line := p.cur().line
	var items []expr
	comma := false
	for {
		if len(items) > 0 {
			p.expectOp(",")
		}
		if p.tupleEnds(r) {
			break
		}
		items = append(items, p.element(r))
		if !p.cur().is(",") {
			break
		}
		comma = true
	}
	switch {
	case comma || len(items) == 0 && r.parens:
		return &tupleExpr{items}
	case len(items) == 0:
		p.failAt(line, "Expected an expression, got '%s'", p.cur().describe())
	}
	return items[0]
}

func (p *parser) tupleEnds(r tupleRule) bool {
	t := p.cur()
	return t.kind == tokVarEnd || t.kind == tokBlockEnd || t.is(")") || r.end != "" && t.name(r.end)
}

func (p *parser) element(r tupleRule) expr {
	switch {
	case r.simple:
		return p.primary()
	case r.noCond:
		return p.or()
	}
	return p.expression()
}

// expression parses with conditional expressions.
func (p *parser) expression() expr {
	defer p.enter()()
	line := p.cur().line
	e := p.or()
	for n := 0; p.skipName("if"); n++ {
		if n > maxInRow {
			p.fail("more than %d conditions in a row", maxInRow)
		}
		c := &condExpr{line: line, then: e, test: p.or()}
		if p.skipName("else") {
			c.otherwise = p.expression()
		}
		e = c
	}
	return e
}

func (p *parser) or() expr  { return p.logic("or", true, p.and) }
func (p *parser) and() expr { return p.logic("and", false, p.not) }

func (p *parser) logic(word string, stop bool, operand func() expr) expr {
	items := []expr{operand()}
	for p.skipName(word) {
		items = append(items, operand())
	}
	if len(items) == 1 {
		return items[0]
	}
	return &logicExpr{stop, items}
}

func (p *parser) not() expr {
	defer p.enter()()
	if p.skipName("not") {
		return &notExpr{p.not()}
	}
	return p.compare()
}

func (p *parser) compare() expr {
	c := &compareExpr{line: p.cur().line, first: p.sum()}
	for {
		t := p.cur()
		switch {
		case t.kind == tokOp && strings.Contains(" == != < > <= >= ", " "+t.text+" "), t.name("in"):
			p.next()
			c.add(t.text, p.sum())
		case t.name("not") && p.look().name("in"):
			p.next()
			p.next()
			c.add("not in", p.sum())
		case len(c.ops) == 0:
			return c.first
		default:
			return c
		}
	}
}

// chain parses operands joined by ops, the left ones first.
func (p *parser) chain(operand func() expr, ops string) expr {
	left := operand()
	for n := 0; p.cur().kind == tokOp && strings.Contains(ops, " "+p.cur().text+" "); n++ {
		if n > maxInRow {
			p.fail("more than %d operators in a row", maxInRow)
		}
		op := p.next()
		left = &binaryExpr{op.line, op.text, left, operand()}
	}
	return left
}

func (p *parser) sum() expr { return p.chain(p.concat, " + - ") }

func (p *parser) concat() expr {
	first := p.product()
	if !p.cur().is("~") {
		return first
	}
	c := &concatExpr{[]expr{first}}
	for p.skipOp("~") {
		c.items = append(c.items, p.product())
	}
	return c
}

func (p *parser) product() expr { return p.chain(p.power, " * / // % ") }
func (p *parser) power() expr   { return p.chain(func() expr { return p.unary(true) }, " ** ") }

func (p *parser) unary(filters bool) expr {
	defer p.enter()()
	var e expr
	if t := p.cur(); t.is("-") || t.is("+") {
		p.next()
		e = &unaryExpr{t.line, t.text, p.unary(false)}
	} else {
		e = p.primary()
	}
	e = p.postfix(e)
	if filters {
		e = p.filterExpr(e)
	}
	return e
}
