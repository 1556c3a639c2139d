package jinja

import (
	"math/big"
	"strconv"
)

func (p *parser) primary() expr {
	t := p.next()
	switch t.kind {
	case tokName:
		switch t.text {
		case "true", "True":
			return &constExpr{true}
		case "false", "False":
			return &constExpr{false}
		case "none", "None":
			return &constExpr{nil}
		}
		p.uses(t.text)
		return &nameExpr{t.text}
	case tokString:
		text := t.text
		for p.cur().kind == tokString {
			text += p.next().text
		}
		return &constExpr{text}
	case tokInt:
		i, ok := new(big.Int).SetString(t.text, 0)
		if !ok || len(t.text) > maxDigits {
			p.failAt(t.line, "integer %.40s", t.text)
		}
		return &constExpr{i}
	case tokFloat:
		f, _ := strconv.ParseFloat(t.text, 64) // beyond the range is infinite, in Python too
		return &constExpr{f}
	case tokOp:
		return p.bracket(t)
	}
	p.failAt(t.line, "unexpected '%s'", t.describe())
	return nil
}

func (p *parser) bracket(t token) expr {
	switch t.text {
	case "(":
		e := p.tuple(tupleRule{parens: true})
		p.expectOp(")")
		return e
	case "[":
		l := &listExpr{}
		p.list("]", func() { l.items = append(l.items, p.expression()) })
		return l
	case "{":
		d := &dictExpr{line: t.line}
		p.list("}", func() {
			d.keys = append(d.keys, p.expression())
			p.expectOp(":")
			d.values = append(d.values, p.expression())
		})
		return d
	}
	p.failAt(t.line, "unexpected '%s'", t.text)
	return nil
}

// list parses elements with commas between them up to end.
func (p *parser) list(end string, element func()) {
	for n := 0; !p.cur().is(end); n++ {
		if n > 0 {
			p.expectOp(",")
			if p.cur().is(end) {
				break
			}
		}
		element()
	}
	p.expectOp(end)
}
