package jinja

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// lexer cuts a template into tokens (jinja2/lexer.py, 3.1.2).
type lexer struct {
	src    string
	pos    int
	line   int
	trim   bool // the newline behind a block goes
	tokens []token
	open   []byte // brackets of the tag being read
}

// blanks is what Python's \s* matches.
const blanks = `[\s\x0b\x1c-\x1f\x{85}\p{Z}]*`

var (
	rawBegin = regexp.MustCompile(`^\{%[-+]?` + blanks + `raw` + blanks + `(?:-%\}` + blanks + `|%\})`)
	rawEnd   = regexp.MustCompile(`\{%([-+]?)` + blanks + `endraw` + blanks + `([-+]?)%\}`)
	integer  = regexp.MustCompile(`^(?i:0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[0-9a-f])+|[1-9](?:_?[0-9])*|0(?:_?0)*)`)
	fraction = regexp.MustCompile(`^(?i:(?:[0-9]+_)*[0-9]+(?:(?:\.(?:[0-9]+_)*[0-9]+)?e[-+]?(?:[0-9]+_)*[0-9]+|\.(?:[0-9]+_)*[0-9]+))`)
)

// lex cuts text. Its line ends become \n, and the last one goes.
func lex(text string, trim bool) []token {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.ToValidUTF8(text, "\ufffd"))
	l := &lexer{src: strings.TrimSuffix(text, "\n"), line: 1, trim: trim}
	for l.pos < len(l.src) {
		l.root()
	}
	l.add(tokEOF, "")
	return l.tokens
}

func (l *lexer) fail(format string, a ...any) {
	panic(&Error{l.line, fmt.Sprintf(format, a...)})
}

func (l *lexer) add(k kind, text string) { l.tokens = append(l.tokens, token{k, text, l.line}) }

func (l *lexer) rest() string { return l.src[l.pos:] }

// skip goes over n bytes.
func (l *lexer) skip(n int) {
	l.line += strings.Count(l.src[l.pos:l.pos+n], "\n")
	l.pos += n
}

// skipBlanks goes over white space.
func (l *lexer) skipBlanks() {
	rest := l.rest()
	l.skip(len(rest) - len(strings.TrimLeftFunc(rest, isSpace)))
}

// isSpace is Python's str.isspace.
func isSpace(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f }

// root reads data up to the next tag, and that tag.
func (l *lexer) root() {
	rest := l.rest()
	i := 0
	for {
		next := strings.IndexByte(rest[i:], '{')
		if next < 0 || i+next+1 >= len(rest) {
			l.data(rest, "")
			return
		}
		if i += next; strings.IndexByte("%{#", rest[i+1]) >= 0 {
			break
		}
		i++
	}
	sign := ""
	if i+2 < len(rest) && (rest[i+2] == '-' || rest[i+2] == '+') {
		sign = rest[i+2 : i+3]
	}
	l.data(rest[:i], sign)
	if raw := rawBegin.FindString(rest[i:]); raw != "" {
		l.skip(len(raw))
		l.raw()
		return
	}
	begin := rest[i+1]
	l.skip(2 + len(sign))
	switch begin {
	case '#':
		l.comment()
	case '%':
		l.add(tokBlockBegin, "")
		l.tag("%}", tokBlockEnd)
	default:
		l.add(tokVarBegin, "")
		l.tag("}}", tokVarEnd)
	}
}

// data keeps text; a minus sign behind it takes its white space.
func (l *lexer) data(text, sign string) {
	kept := text
	if sign == "-" {
		kept = strings.TrimRightFunc(text, isSpace)
	}
	if kept != "" {
		l.add(tokData, kept)
	}
	l.skip(len(text))
}

// after does what a tag's end asks for: a minus sign takes the white space
// behind it, a block the newline.
func (l *lexer) after(sign string, block bool) {
	switch {
	case sign == "-":
		l.skipBlanks()
	case sign == "" && block && l.trim && strings.HasPrefix(l.rest(), "\n"):
		l.skip(1)
	}
}

func (l *lexer) comment() {
	rest := l.rest()
	i := strings.Index(rest, "#}")
	if rest == "" {
		return
	}
	if i < 0 {
		l.fail("Missing end of comment tag")
	}
	sign := ""
	if i > 0 && (rest[i-1] == '-' || rest[i-1] == '+') {
		sign = rest[i-1 : i]
	}
	l.skip(i + 2)
	l.after(sign, true)
}

func (l *lexer) raw() {
	rest := l.rest()
	m := rawEnd.FindStringSubmatchIndex(rest)
	if rest == "" {
		return
	}
	if m == nil {
		l.fail("Missing end of raw directive")
	}
	l.data(rest[:m[0]], rest[m[2]:m[3]])
	l.skip(m[1] - m[0])
	l.after(rest[m[4]:m[5]], true)
}
