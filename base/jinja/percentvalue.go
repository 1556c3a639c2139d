package jinja

import (
	"math/big"
	"strings"
	"unicode/utf8"
)

func (p *percenter) value(f spec, v any) string {
	s := p.s
	switch f.verb {
	case 's':
		return s.cut(f, s.text(v))
	case 'r':
		return s.cut(f, s.repr(v))
	case 'a':
		return s.cut(f, ascii(s.repr(v)))
	case 'c':
		return s.cut(f, s.character(v))
	case 'd', 'i', 'u':
		f.verb = 'd'
		s.defined(v)
		if g, ok := v.(float64); ok {
			v = intFilter(s, []any{g, missing, missing})
		}
		i, ok := asInt(v)
		if !ok {
			s.fail("%%d format: a real number is required, not %s", typeName(v))
		}
		return s.integer(f, i)
	case 'x', 'X', 'o':
		s.defined(v)
		i, ok := asInt(v)
		if !ok {
			s.fail("%%%c format: an integer is required, not %s", f.verb, typeName(v))
		}
		return s.integer(f, i)
	case 'e', 'E', 'f', 'F', 'g', 'G':
		s.defined(v)
		g, ok := asFloat(v)
		if !ok {
			s.fail("must be real number, not %s", typeName(v))
		}
		return s.float(f, g)
	}
	s.fail("unsupported format character '%c'", f.verb)
	return ""
}

// cut writes a text, which a precision makes shorter.
func (s *state) cut(f spec, text string) string {
	if f.precision >= 0 {
		r := []rune(text)
		text = string(r[:min(f.precision, len(r))])
	}
	if f.fill == "0" && f.align == '=' {
		f.fill, f.align = "", '>'
	}
	return s.padded(f, "", text, '>')
}

// character is the text of one character, given by itself or its number.
func (s *state) character(v any) string {
	s.defined(v)
	if text, ok := asText(v); ok && utf8.RuneCountInString(text) == 1 {
		return text
	}
	i, ok := asInt(v)
	if !ok || i.Sign() < 0 || i.Cmp(big.NewInt(utf8.MaxRune)) > 0 {
		s.fail("%%c requires int or char")
	}
	return string(rune(i.Int64()))
}

// ascii escapes what is not ASCII.
func ascii(text string) string {
	var out strings.Builder
	for _, r := range text {
		if r < 0x80 {
			out.WriteRune(r)
		} else {
			out.WriteString(hexEscape(r))
		}
	}
	return out.String()
}
