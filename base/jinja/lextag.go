package jinja

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// tag reads the inside of a tag and its end.
func (l *lexer) tag(end string, k kind) {
	l.open = l.open[:0]
	for {
		l.skipBlanks()
		rest := l.rest()
		if rest == "" {
			return // the parser will miss the end
		}
		if sign, ok := l.ends(rest, end); ok && len(l.open) == 0 {
			l.skip(len(sign + end))
			l.add(k, "")
			l.after(sign, k == tokBlockEnd)
			return
		}
		l.inside(rest)
	}
}

func (l *lexer) ends(rest, end string) (sign string, ok bool) {
	if rest[0] == '-' || rest[0] == '+' && end == "%}" {
		sign = rest[:1]
	}
	return sign, strings.HasPrefix(rest[len(sign):], end)
}

// inside reads one token of a tag.
func (l *lexer) inside(rest string) {
	afterDot := l.pos > 0 && l.src[l.pos-1] == '.'
	if m := fraction.FindString(rest); m != "" && !afterDot {
		l.add(tokFloat, strings.ReplaceAll(m, "_", ""))
		l.skip(len(m))
		return
	}
	if m := integer.FindString(rest); m != "" {
		l.add(tokInt, m)
		l.skip(len(m))
		return
	}
	if n := len(rest) - len(strings.TrimLeftFunc(rest, wordRune)); n > 0 {
		if first, _ := utf8.DecodeRuneInString(rest); unicode.IsDigit(first) {
			l.fail("Invalid character in identifier")
		}
		l.add(tokName, rest[:n])
		l.skip(n)
		return
	}
	if rest[0] == '"' || rest[0] == '\'' {
		l.quoted(rest)
		return
	}
	l.operator(rest)
}

// wordRune is Python's \w.
func wordRune(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) }

func (l *lexer) quoted(rest string) {
	for i := 1; i < len(rest); i++ {
		switch rest[i] {
		case '\\':
			i++
		case rest[0]:
			l.add(tokString, l.unescape(rest[1:i]))
			l.skip(i + 1)
			return
		}
	}
	l.fail("unexpected char %s at %d", quote(rest[:1]), l.pos)
}

func (l *lexer) operator(rest string) {
	op := rest[:1]
	if len(rest) > 1 && strings.Contains("// ** == != >= <=", rest[:2]) && rest[1] != ' ' && rest[0] != ' ' {
		op = rest[:2]
	} else if !strings.Contains("+-/*%~[](){}><=.:|,;", op) {
		r, _ := utf8.DecodeRuneInString(rest)
		l.fail("unexpected char %s at %d", quote(string(r)), l.pos)
	}
	switch op {
	case "(", "[", "{":
		l.open = append(l.open, op[0]+1+min(op[0]-'(', 1)) // the closing one
	case ")", "]", "}":
		last := len(l.open) - 1
		if last < 0 {
			l.fail("unexpected '%s'", op)
		}
		if l.open[last] != op[0] {
			l.fail("unexpected '%s', expected '%c'", op, l.open[last])
		}
		l.open = l.open[:last]
	}
	l.add(tokOp, op)
	l.skip(len(op))
}
