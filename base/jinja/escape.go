package jinja

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// unescape undoes the escapes of a string literal (Python's unicode-escape).
// Unknown ones stay.
func (l *lexer) unescape(text string) string {
	var out strings.Builder
	for {
		i := strings.IndexByte(text, '\\')
		if i < 0 {
			out.WriteString(text)
			return out.String()
		}
		out.WriteString(text[:i])
		n := l.escape(&out, text[i+1:])
		text = text[i+1+n:]
	}
}

// escape writes what stands behind a backslash and tells its length.
func (l *lexer) escape(out *strings.Builder, text string) int {
	const plain, meant = "\\'\"abfnrtv", "\\'\"\a\b\f\n\r\t\v"
	c := text[0]
	if i := strings.IndexByte(plain, c); i >= 0 {
		out.WriteByte(meant[i])
		return 1
	}
	switch c {
	case '\n':
		return 1
	case 'x':
		return 1 + l.hex(out, text[1:], 2)
	case 'u':
		return 1 + l.hex(out, text[1:], 4)
	case 'U':
		return 1 + l.hex(out, text[1:], 8)
	case 'N':
		l.fail(`escape \N is not supported`)
	}
	if '0' <= c && c <= '7' {
		n := 1
		for n < min(3, len(text)) && '0' <= text[n] && text[n] <= '7' {
			n++
		}
		code, _ := strconv.ParseUint(text[:n], 8, 32)
		out.WriteRune(rune(code))
		return n
	}
	out.WriteByte('\\')
	return 0
}

func (l *lexer) hex(out *strings.Builder, text string, digits int) int {
	if len(text) >= digits {
		code, err := strconv.ParseUint(text[:digits], 16, 32)
		if err == nil && code <= utf8.MaxRune {
			out.WriteRune(rune(code))
			return digits
		}
	}
	l.fail("truncated or illegal escape in a string")
	return 0
}
