package jinja

import (
	"math/big"
	"strings"
	"unicode"
	"unicode/utf8"
)

// textMethod is a method without arguments that makes a text.
func textMethod(f func(string) string) native {
	return native{"", func(s *state, v []any) any { return s.likeText(v[0], f(s.strArg(v[0]))) }}
}

// askMethod is a method that asks something of all characters.
func askMethod(f func(rune) bool) native {
	return native{"", func(s *state, v []any) any {
		text := s.strArg(v[0])
		s.charge(len(text) / 32)
		return text != "" && strings.IndexFunc(text, func(r rune) bool { return !f(r) }) < 0
	}}
}

// strMethods are those of Python's str that need neither bytes nor tables.
func strMethods() map[string]native {
	return map[string]native{
		"capitalize": textMethod(capitalize),
		"casefold":   textMethod(func(t string) string { return strings.ReplaceAll(strings.ToLower(t), "ß", "ss") }),
		"lower":      textMethod(strings.ToLower),
		"upper":      textMethod(upper),
		"swapcase":   textMethod(func(t string) string { return strings.Map(swapCase, t) }),
		"title":      textMethod(title),

		"isalnum":   askMethod(func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }),
		"isalpha":   askMethod(unicode.IsLetter),
		"isdecimal": askMethod(unicode.IsDigit),
		"isdigit":   askMethod(unicode.IsDigit),
		"isnumeric": askMethod(unicode.IsNumber),
		"isspace":   askMethod(isSpace),
		"isascii": {"", func(s *state, v []any) any {
			return strings.IndexFunc(s.strArg(v[0]), func(r rune) bool { return r > 0x7f }) < 0
		}},
		"isprintable": {"", func(s *state, v []any) any {
			return strings.IndexFunc(s.strArg(v[0]), func(r rune) bool { return !unicode.IsPrint(r) }) < 0
		}},
		"islower": {"", func(s *state, v []any) any { return isCase(s.strArg(v[0]), unicode.IsLower, unicode.IsUpper) }},
		"isupper": {"", func(s *state, v []any) any { return isCase(s.strArg(v[0]), unicode.IsUpper, unicode.IsLower) }},
		"istitle": {"", func(s *state, v []any) any {
			t := s.strArg(v[0])
			return title(t) == t && strings.ContainsFunc(t, unicode.IsLetter)
		}},
		"isidentifier": {"", func(s *state, v []any) any {
			t := s.strArg(v[0])
			first, _ := utf8.DecodeRuneInString(t)
			return t != "" && !unicode.IsNumber(first) && strings.TrimFunc(t, wordRune) == ""
		}},

		"center": {"width fillchar?", padMethod("center")},
		"ljust":  {"width fillchar?", padMethod("ljust")},
		"rjust":  {"width fillchar?", padMethod("rjust")},
		"zfill":  {"width", zfill},

		"strip":        {"chars?", func(s *state, v []any) any { return s.trim(s.strArg(v[0]), none(v[1]), true, true) }},
		"lstrip":       {"chars?", func(s *state, v []any) any { return s.trim(s.strArg(v[0]), none(v[1]), true, false) }},
		"rstrip":       {"chars?", func(s *state, v []any) any { return s.trim(s.strArg(v[0]), none(v[1]), false, true) }},
		"removeprefix": {"prefix", func(s *state, v []any) any { return strings.TrimPrefix(s.strArg(v[0]), s.strArg(v[1])) }},
		"removesuffix": {"suffix", func(s *state, v []any) any { return strings.TrimSuffix(s.strArg(v[0]), s.strArg(v[1])) }},
		"replace": {"old new count?", func(s *state, v []any) any {
			return s.replaced(s.strArg(v[0]), s.strArg(v[1]), s.strArg(v[2]), s.intArg(v[3], -1))
		}},
		"expandtabs": {"tabsize?", expandtabs},
		"format":     {"* **", formatMethod},
		"join":       {"iterable", joinMethod},

		"startswith": {"prefix start? end?", affix(strings.HasPrefix)},
		"endswith":   {"suffix start? end?", affix(strings.HasSuffix)},
		"find":       {"sub start? end?", func(s *state, v []any) any { return number(s.find(v, strings.Index)) }},
		"rfind":      {"sub start? end?", func(s *state, v []any) any { return number(s.find(v, strings.LastIndex)) }},
		"index":      {"sub start? end?", func(s *state, v []any) any { return s.found(s.find(v, strings.Index)) }},
		"rindex":     {"sub start? end?", func(s *state, v []any) any { return s.found(s.find(v, strings.LastIndex)) }},
		"count": {"sub start? end?", func(s *state, v []any) any {
			part, _ := s.window(v)
			return number(strings.Count(part, s.strArg(v[1])))
		}},

		"split":      {"sep? maxsplit?", split},
		"rsplit":     {"sep? maxsplit?", rsplit},
		"splitlines": {"keepends?", func(s *state, v []any) any { return s.texts(splitLines(s.strArg(v[0]), s.boolArg(v[1]))) }},
		"partition":  {"sep", partition},
		"rpartition": {"sep", rpartition},
	}
}

func swapCase(r rune) rune {
	if unicode.IsUpper(r) {
		return unicode.ToLower(r)
	}
	return unicode.ToUpper(r)
}

// title makes a capital of every first letter.
func title(text string) string {
	inWord := false
	return strings.Map(func(r rune) rune {
		was := inWord
		inWord = unicode.IsLetter(r)
		if was {
			return unicode.ToLower(r)
		}
		return unicode.ToTitle(r)
	}, text)
}

func padMethod(side string) func(*state, []any) any {
	return func(s *state, v []any) any {
		return s.pad(s.strArg(v[0]), s.intArg(v[1], 0), s.textArg(v[2], " "), side)
	}
}

func zfill(s *state, v []any) any {
	text := s.strArg(v[0])
	sign := ""
	if strings.HasPrefix(text, "-") || strings.HasPrefix(text, "+") {
		sign, text = text[:1], text[1:]
	}
	return sign + s.pad(text, s.intArg(v[1], 0)-len(sign), "0", "rjust")
}

func expandtabs(s *state, v []any) any {
	size := s.intArg(v[1], 8)
	text := s.strArg(v[0])
	s.afford(strings.Count(text, "\t"), size)
	var out strings.Builder
	column := 0
	for _, r := range text {
		switch {
		case r == '\t' && size > 0:
			n := size - column%size
			out.WriteString(strings.Repeat(" ", n))
			column += n
			continue
		case r == '\t':
			continue
		case r == '\n' || r == '\r':
			column = -1
		}
		column++
		out.WriteRune(r)
	}
	return s.made(out.String())
}

func joinMethod(s *state, v []any) any {
	for i, item := range s.items(v[1]) {
		if _, ok := asText(item); !ok {
			s.fail("sequence item %d: expected str instance, %s found", i, typeName(item))
		}
	}
	return join(s, []any{v[1], v[0], missing})
}

// window is the text between a method's start and end, and how many
// characters stand before it; -1 when the start lies behind the text.
func (s *state) window(v []any) (string, int) {
	text := s.strArg(v[0])
	s.charge(len(text) / 32)
	if none(v[2]) == nil && none(v[3]) == nil {
		return text, 0
	}
	all := []rune(text)
	if i, ok := asInt(none(v[2])); ok && i.Cmp(big.NewInt(int64(len(all)))) > 0 {
		return "", -1
	}
	start, end := s.bound(none(v[2]), 0, len(all), 1), s.bound(none(v[3]), len(all), len(all), 1)
	if start > end {
		return "", -1
	}
	return string(all[start:end]), start
}

func (s *state) find(v []any, index func(string, string) int) int {
	part, before := s.window(v)
	i := index(part, s.strArg(v[1]))
	if before < 0 || i < 0 {
		return -1
	}
	return before + utf8.RuneCountInString(part[:i])
}

func (s *state) found(i int) any {
	if i < 0 {
		s.fail("substring not found")
	}
	return number(i)
}

func affix(has func(text, part string) bool) func(*state, []any) any {
	return func(s *state, v []any) any {
		text, before := s.window(v)
		options, ok := asTuple(v[1])
		if !ok {
			options = Tuple{v[1]}
		}
		for _, o := range options {
			if has(text, s.strArg(o)) && before >= 0 {
				return true
			}
		}
		return false
	}
}

// texts is a list of texts.
func (s *state) texts(items []string) *List {
	s.charge(len(items))
	out := &List{}
	for _, item := range items {
		out.Items = append(out.Items, s.made(item))
	}
	return out
}
