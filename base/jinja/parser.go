package jinja

import (
	"fmt"
	"slices"
)

// maxNesting bounds brackets, operators and blocks inside each other.
const maxNesting = 150

// parser makes statements of tokens (jinja2/parser.py, 3.1.2).
type parser struct {
	tokens []token
	pos    int
	depth  int
	soft   bool        // an unknown filter here fails only when it is reached
	macros []*macroDef // whose bodies are being parsed
	lib    *library
}

func (p *parser) cur() token  { return p.tokens[p.pos] }
func (p *parser) look() token { return p.tokens[min(p.pos+1, len(p.tokens)-1)] }

func (p *parser) next() token {
	t := p.cur()
	p.pos = min(p.pos+1, len(p.tokens)-1)
	return t
}

func (p *parser) fail(format string, a ...any) { p.failAt(p.cur().line, format, a...) }

func (p *parser) failAt(line int, format string, a ...any) {
	panic(&Error{line, fmt.Sprintf(format, a...)})
}

// enter counts one more level until the function that it returns is called.
func (p *parser) enter() func() {
	if p.depth++; p.depth > maxNesting {
		p.fail("more than %d levels", maxNesting)
	}
	return func() { p.depth-- }
}

func (p *parser) skipOp(op string) bool {
	if p.cur().is(op) {
		p.next()
		return true
	}
	return false
}

func (p *parser) skipName(name string) bool {
	if p.cur().name(name) {
		p.next()
		return true
	}
	return false
}

func (p *parser) expectOp(op string) {
	if !p.skipOp(op) {
		p.fail("expected token '%s', got '%s'", op, p.cur().describe())
	}
}

func (p *parser) expectWord(name string) {
	if !p.skipName(name) {
		p.fail("expected token '%s', got '%s'", name, p.cur().describe())
	}
}

func (p *parser) expectName() string {
	if p.cur().kind != tokName {
		p.fail("expected token 'name', got '%s'", p.cur().describe())
	}
	return p.next().text
}

func (p *parser) expectEnd(k kind) {
	if p.cur().kind != k {
		p.fail("expected token '%s', got '%s'", token{kind: k}.describe(), p.cur().describe())
	}
	p.next()
}

func (p *parser) template() []stmt {
	body := p.body()
	if p.cur().kind != tokEOF {
		p.fail("Encountered unknown tag '%s'.", p.cur().text)
	}
	return body
}

// body parses until one of ends, a tag's name, which is then the current
// token; without ends to the end of the template.
func (p *parser) body(ends ...string) []stmt {
	defer p.enter()()
	var out []stmt
	for {
		t := p.next()
		switch t.kind {
		case tokData:
			out = append(out, &dataStmt{t.text})
		case tokVarBegin:
			out = append(out, &outputStmt{t.line, []expr{p.tuple(tupleRule{})}})
			p.expectEnd(tokVarEnd)
		case tokBlockBegin:
			if p.cur().kind == tokName && slices.Contains(ends, p.cur().text) {
				return out
			}
			out = append(out, p.statement())
			p.expectEnd(tokBlockEnd)
		case tokEOF:
			if len(ends) > 0 {
				p.fail("Unexpected end of template. Jinja was looking for the following tags: %s.", joinQuoted(ends))
			}
			return out
		default:
			p.failAt(t.line, "unexpected '%s'", t.describe())
		}
	}
}

func joinQuoted(words []string) string {
	text := ""
	for i, w := range words {
		if i > 0 {
			text += " or "
		}
		text += "'" + w + "'"
	}
	return text
}

// block is the body of a tag, which ends here and at ends; soft is whether it
// may never be reached.
func (p *parser) block(soft bool, ends ...string) []stmt {
	p.skipOp(":")
	p.expectEnd(tokBlockEnd)
	defer func(was bool) { p.soft = was }(p.soft)
	p.soft = soft
	return p.body(ends...)
}

// closed is block with its end tag taken.
func (p *parser) closed(end string) []stmt {
	body := p.block(false, end)
	p.next()
	return body
}
