package jinja

import (
	"strconv"
	"strings"
)

// percent is Python's text % values.
func (s *state) percent(text string, values any) any {
	p := &percenter{s: s, text: text, mapping: values}
	if t, ok := asTuple(values); ok {
		p.args, p.mapping = t, nil
	} else {
		p.args = Tuple{values}
	}
	var out strings.Builder
	for p.text != "" {
		before, rest, found := strings.Cut(p.text, "%")
		out.WriteString(before)
		p.text = rest
		if found {
			out.WriteString(s.made(p.conversion()))
		}
	}
	if _, isText := asText(values); p.used < len(p.args) && (p.mapping == nil || isText || !indexable(values)) {
		if _, isDict := values.(*Dict); !isDict && !isUndefined(values) {
			s.fail("not all arguments converted during string formatting")
		}
	}
	return s.made(out.String())
}

// percenter is one % formatting under way.
type percenter struct {
	s       *state
	text    string // behind the present %
	args    Tuple
	used    int
	mapping any // what %(name)s looks into
}

func (p *percenter) next() any {
	if p.used >= len(p.args) {
		p.s.fail("not enough arguments for format string")
	}
	p.used++
	return p.args[p.used-1]
}

// conversion writes one %….
func (p *percenter) conversion() string {
	key, named := p.key()
	f := spec{precision: -1}
	p.flags(&f)
	f.width = p.number()
	if f.width < 0 {
		f.width, f.align = -f.width, '<'
	}
	if strings.HasPrefix(p.text, ".") {
		p.text = p.text[1:]
		f.precision = max(p.number(), 0)
	}
	if p.text != "" && strings.IndexByte("hlL", p.text[0]) >= 0 {
		p.text = p.text[1:]
	}
	if p.text == "" {
		p.s.fail("incomplete format")
	}
	f.verb, p.text = p.text[0], p.text[1:]
	if f.verb == '%' {
		return "%"
	}
	var v any
	if named {
		v = p.lookup(key)
	} else {
		v = p.next()
	}
	return p.value(f, v)
}

func (p *percenter) key() (string, bool) {
	if !strings.HasPrefix(p.text, "(") {
		return "", false
	}
	depth := 0
	for i, c := range []byte(p.text) {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 0 {
			key := p.text[1:i]
			p.text = p.text[i+1:]
			return key, true
		}
	}
	p.s.fail("incomplete format key")
	return "", false
}

func (p *percenter) lookup(key string) any {
	d, ok := p.mapping.(*Dict)
	if !ok {
		p.s.fail("format requires a mapping")
	}
	v, ok := d.Get(key)
	if !ok {
		p.s.fail("KeyError: %s", repr(key))
	}
	p.used = len(p.args)
	return v
}

func (p *percenter) flags(f *spec) {
	for ; p.text != ""; p.text = p.text[1:] {
		switch c := p.text[0]; c {
		case '#':
			f.alternate = true
		case '0':
			if f.align == 0 {
				f.fill, f.align = "0", '='
			}
		case '-':
			f.fill, f.align = "", '<'
		case '+', ' ':
			if f.sign != '+' {
				f.sign = c
			}
		default:
			return
		}
	}
}

// number is a width or precision: digits or a star for an argument.
func (p *percenter) number() int {
	if strings.HasPrefix(p.text, "*") {
		p.text = p.text[1:]
		return p.s.intArg(p.next(), 0)
	}
	digits := p.text[:len(p.text)-len(strings.TrimLeft(p.text, "0123456789"))]
	p.text = p.text[len(digits):]
	n, err := strconv.Atoi(digits)
	if digits != "" && (err != nil || n > 1<<30) {
		p.s.fail("width too big")
	}
	return n
}
