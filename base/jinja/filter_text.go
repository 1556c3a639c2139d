package jinja

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// onText is a filter that makes a text of the operand's text.
func onText(f func(string) string) native {
	return native{"", func(s *state, v []any) any { return s.likeText(v[0], f(s.text(v[0]))) }}
}

// likeText is text, marked up if v is.
func (s *state) likeText(v any, text string) any {
	s.made(text)
	if _, ok := v.(Markup); ok {
		return Markup(text)
	}
	return text
}

// textFilters are those on texts (jinja2/filters.py, 3.1.2).
func textFilters() map[string]native {
	return map[string]native{
		"capitalize": onText(capitalize),
		"lower":      onText(strings.ToLower),
		"upper":      onText(upper),
		"title":      onText(titleWords),
		"string":     onText(func(t string) string { return t }),
		"trim":       {"chars?", func(s *state, v []any) any { return s.likeText(v[0], s.trim(s.text(v[0]), none(v[1]), true, true)) }},
		"center": {"width?", func(s *state, v []any) any {
			return s.likeText(v[0], s.pad(s.text(v[0]), s.intArg(v[1], 80), " ", "center"))
		}},
		"replace":   {"old new count?", replaceFilter},
		"format":    {"* **", formatFilter},
		"indent":    {"width? first? blank?", indent},
		"truncate":  {"length? killwords? end? leeway?", truncate},
		"wordwrap":  {"width? break_long_words? wrapstring? break_on_hyphens?", wordwrap},
		"wordcount": {"", func(s *state, v []any) any { return number(len(words.FindAllString(s.text(v[0]), -1))) }},
		"urlencode": {"", urlencode},
	}
}

var words = regexp.MustCompile(`[\p{L}\p{N}_]+`)

// upper is Python's str.upper as far as it differs from Go's.
func upper(text string) string { return strings.ReplaceAll(strings.ToUpper(text), "ß", "SS") }

func capitalize(text string) string {
	_, n := utf8.DecodeRuneInString(text)
	return upper(text[:n]) + strings.ToLower(text[n:])
}

// titleWords makes capitals behind blanks, hyphens and opening brackets.
func titleWords(text string) string {
	var out strings.Builder
	begin := true
	for _, r := range text {
		switch {
		case isSpace(r) || strings.ContainsRune("-({[<", r):
			out.WriteRune(r)
			begin = true
			continue
		case begin:
			out.WriteString(upper(string(r)))
		default:
			out.WriteRune(unicode.ToLower(r))
		}
		begin = false
	}
	return out.String()
}

func replaceFilter(s *state, v []any) any {
	count := -1
	if none(v[3]) != nil {
		count = s.intArg(v[3], -1)
	}
	return s.replaced(s.text(v[0]), s.text(v[1]), s.text(v[2]), count)
}

func (s *state) replaced(text, old, with string, count int) string {
	s.charge(len(text) / 32)
	n := strings.Count(text, old)
	if count >= 0 {
		n = min(n, count)
	}
	s.afford(n, len(with))
	return s.made(strings.Replace(text, old, with, count))
}

func formatFilter(s *state, v []any) any {
	text, named := s.text(v[0]), v[2].(*Dict)
	switch {
	case len(named.keys) == 0:
		return s.percent(text, v[1])
	case len(v[1].(Tuple)) > 0:
		s.fail("can't handle positional and keyword arguments at the same time")
	}
	return s.percent(text, named)
}

func indent(s *state, v []any) any {
	prefix, isText := asText(v[1])
	if !isText {
		n := s.intArg(v[1], 4)
		s.afford(n, 1)
		prefix = strings.Repeat(" ", max(n, 0))
	}
	lines := splitLines(s.strArg(v[0])+"\n", false)
	s.afford(len(lines), len(prefix))
	for i := 1; i < len(lines); i++ {
		if lines[i] != "" || s.boolArg(v[3]) {
			lines[i] = prefix + lines[i]
		}
	}
	text := strings.Join(lines, "\n")
	if s.boolArg(v[2]) {
		text = prefix + text
	}
	return s.likeText(v[0], text)
}

func truncate(s *state, v []any) any {
	limit, end, leeway := s.intArg(v[1], 255), s.textArg(v[3], "..."), 5
	if none(v[4]) != nil {
		leeway = s.intArg(v[4], 5)
	}
	endLength := utf8.RuneCountInString(end)
	if limit < endLength || leeway < 0 {
		s.fail("expected length >= %d, got %d", endLength, limit)
	}
	if n, ok := length(v[0]); ok && n <= limit+leeway {
		s.charge(n / 32)
		return v[0]
	}
	text := []rune(s.strArg(v[0]))
	s.charge(len(text) / 32)
	result := string(text[:limit-endLength])
	if i := strings.LastIndexByte(result, ' '); i >= 0 && !s.boolArg(v[2]) {
		result = result[:i]
	}
	return s.likeText(v[0], result+end)
}

// splitLines is Python's str.splitlines.
func splitLines(text string, keep bool) []string {
	var out []string
	for text != "" {
		i := strings.IndexFunc(text, isLineEnd)
		if i < 0 {
			return append(out, text)
		}
		_, n := utf8.DecodeRuneInString(text[i:])
		if strings.HasPrefix(text[i:], "\r\n") {
			n = 2
		}
		if keep {
			out = append(out, text[:i+n])
		} else {
			out = append(out, text[:i])
		}
		text = text[i+n:]
	}
	return out
}

func isLineEnd(r rune) bool {
	return r >= '\n' && r <= '\r' || r >= 0x1c && r <= 0x1e || r == 0x85 || r == 0x2028 || r == 0x2029
}

// trim takes chars (nil: white space) off the ends.
func (s *state) trim(text string, chars any, left, right bool) string {
	cut := isSpace
	if chars != nil {
		set := map[rune]bool{}
		for _, r := range s.made(s.strArg(chars)) {
			set[r] = true
		}
		cut = func(r rune) bool { return set[r] }
	}
	if left {
		text = strings.TrimLeftFunc(text, cut)
	}
	if right {
		text = strings.TrimRightFunc(text, cut)
	}
	return text
}

// pad fills text up to width: "ljust", "rjust" or "center".
func (s *state) pad(text string, width int, fill, side string) string {
	if utf8.RuneCountInString(fill) != 1 {
		s.fail("The fill character must be exactly one character long")
	}
	n := width - utf8.RuneCountInString(text)
	if n <= 0 {
		return text
	}
	s.afford(n, len(fill))
	left := 0
	switch side {
	case "rjust":
		left = n
	case "center":
		left = n/2 + n&width&1
	}
	return s.made(strings.Repeat(fill, left) + text + strings.Repeat(fill, n-left))
}
