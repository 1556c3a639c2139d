package jinja

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// formatMethod is Python's str.format.
func formatMethod(s *state, v []any) any {
	f := &formatter{s: s, args: v[1].(Tuple), named: v[2].(*Dict)}
	return s.made(f.format(s.strArg(v[0]), 0))
}

// formatter is one str.format under way.
type formatter struct {
	s      *state
	args   Tuple
	named  *Dict
	auto   int
	manual bool
}

// format fills in a text; a field's specification is one too.
func (f *formatter) format(text string, depth int) string {
	if depth > 2 {
		f.s.fail("Max string recursion exceeded")
	}
	var out strings.Builder
	for text != "" {
		i := strings.IndexAny(text, "{}")
		if i < 0 {
			i = len(text)
		}
		out.WriteString(text[:i])
		if text = text[i:]; text == "" {
			break
		}
		if len(text) > 1 && text[1] == text[0] && depth == 0 {
			out.WriteByte(text[0])
			text = text[2:]
			continue
		}
		if text[0] == '}' {
			f.s.fail("Single '}' encountered in format string")
		}
		end := f.end(text)
		out.WriteString(f.s.made(f.field(text[1:end], depth)))
		text = text[end+1:]
	}
	return out.String()
}

// end is where the field that text begins with ends.
func (f *formatter) end(text string) int {
	depth := 0
	for i, c := range []byte(text) {
		switch c {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	f.s.fail("expected '}' before end of string")
	return 0
}

func (f *formatter) field(text string, depth int) string {
	name, format, _ := strings.Cut(text, ":")
	name, conversion, converted := strings.Cut(name, "!")
	v := f.value(name)
	if converted {
		switch conversion {
		case "s":
			v = f.s.text(v)
		case "r":
			v = f.s.repr(v)
		case "a":
			v = ascii(f.s.repr(v))
		default:
			f.s.fail("Unknown conversion specifier %s", conversion)
		}
	}
	return f.s.formatted(v, f.format(format, depth+1))
}

var fieldPart = regexp.MustCompile(`^(?:\.([^.\[]+)|\[([^\]]+)\])`)

// value is what a field's name names: 0, name, name.attr, name[index].
func (f *formatter) value(name string) any {
	i := strings.IndexAny(name, ".[")
	if i < 0 {
		i = len(name)
	}
	v := f.argument(name[:i])
	for rest := name[i:]; rest != ""; {
		m := fieldPart.FindStringSubmatch(rest)
		if m == nil {
			f.s.fail("Empty attribute in format string")
		}
		rest = rest[len(m[0]):]
		found := false
		if m[1] != "" {
			v, found = f.s.attr(v, m[1])
		} else if n, err := strconv.Atoi(m[2]); err == nil {
			v, found = f.s.item(v, number(n))
		} else {
			v, found = f.s.item(v, m[2])
		}
		if !found {
			f.s.fail("%s: not found", repr(m[0]))
		}
	}
	return v
}

func (f *formatter) argument(name string) any {
	n, err := strconv.Atoi(name)
	if name == "" {
		n, err = f.auto, nil
		f.auto++
	} else if err == nil {
		f.manual = true
	}
	if f.manual && f.auto > 0 {
		f.s.fail("cannot mix automatic and manual field numbering")
	}
	if err == nil {
		if n < 0 || n >= len(f.args) {
			f.s.fail("Replacement index %d out of range for positional args tuple", n)
		}
		return f.args[n]
	}
	v, ok := f.named.Get(name)
	if !ok {
		f.s.fail("KeyError: %s", repr(name))
	}
	return v
}

var specText = regexp.MustCompile(`^(?:(.)?([<>=^]))?([-+ ])?(#)?(0)?([0-9]+)?([,_])?(?:\.([0-9]+))?([a-zA-Z%])?$`)

// formatted is Python's format(v, text).
func (s *state) formatted(v any, text string) string {
	if text == "" {
		return s.text(v)
	}
	f := s.spec(text)
	if text, ok := asText(v); ok {
		if f.verb != 0 && f.verb != 's' || f.align == '=' && f.fill != "0" || f.sign != 0 || f.group != "" {
			s.fail("Invalid format specifier for a str")
		}
		return s.formatText(f, text)
	}
	if i, ok := asInt(v); ok {
		return s.formatInt(f, i)
	}
	g, ok := v.(float64)
	if !ok {
		s.fail("unsupported format string passed to %s.__format__", typeName(v))
	}
	if f.verb != 0 && strings.IndexByte("eEfFgG%", f.verb) < 0 {
		s.fail("Unknown format code '%c' for object of type 'float'", f.verb)
	}
	return s.float(f, g)
}

func (s *state) spec(text string) spec {
	m := specText.FindStringSubmatch(text)
	if m == nil {
		s.fail("Invalid format specifier")
	}
	f := spec{fill: m[1], alternate: m[4] != "", group: m[7], precision: -1}
	if m[2] != "" {
		f.align = m[2][0]
	} else if m[5] != "" {
		f.align = '='
	}
	if m[5] != "" && m[1] == "" {
		f.fill = "0"
	}
	if m[3] != "" {
		f.sign = m[3][0]
	}
	if m[9] != "" {
		f.verb = m[9][0]
	}
	f.width, _ = strconv.Atoi(m[6])
	if m[8] != "" {
		f.precision, _ = strconv.Atoi(m[8])
	}
	if f.width > 1<<30 || f.precision > 1<<30 {
		s.fail("Too many decimal digits in format string")
	}
	return f
}

func (s *state) formatText(f spec, text string) string {
	if f.precision >= 0 {
		r := []rune(text)
		text = string(r[:min(f.precision, len(r))])
	}
	if f.align == '=' {
		f.align = '<'
	}
	return s.padded(f, "", text, '<')
}

func (s *state) formatInt(f spec, i *big.Int) string {
	switch f.verb {
	case 0, 'd', 'n', 'b', 'o', 'x', 'X':
		if f.precision >= 0 {
			s.fail("Precision not allowed in integer format specifier")
		}
		return s.integer(f, i)
	case 'c':
		return s.formatText(f, s.character(i))
	case 'e', 'E', 'f', 'F', 'g', 'G', '%':
		g, _ := asFloat(i)
		return s.float(f, g)
	}
	s.fail("Unknown format code '%c' for object of type 'int'", f.verb)
	return ""
}
