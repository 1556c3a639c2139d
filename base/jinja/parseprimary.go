package jinja

import (
	"math/big"
	"strconv"
	"strings"
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
		texts := []string{t.text}
		for p.cur().kind == tokString {
			texts = append(texts, p.next().text)
		}
		return &constExpr{strings.Join(texts, "")}
	case tokInt:
		return &constExpr{p.integer(t)}
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

// integer is the value of an integer's token.
func (p *parser) integer(t token) *big.Int {
	if len(t.text) > maxDigits {
		p.failAt(t.line, "an integer of more than %d digits", maxDigits)
	}
	i, ok := new(big.Int).SetString(t.text, 0)
	if !ok {
		p.failAt(t.line, "%.40s is no integer", t.text)
	}
	return i
}
