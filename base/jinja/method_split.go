package jinja

import (
	"slices"
	"strings"
)

// splitArgs are the operands of split and rsplit; limit is negative without.
func (s *state) splitArgs(v []any) (text, sep string, limit int) {
	text, limit = s.strArg(v[0]), s.intArg(v[2], -1)
	if none(v[1]) != nil {
		if sep = s.strArg(v[1]); sep == "" {
			s.fail("empty separator")
		}
	}
	s.charge(len(text) / 8)
	return text, sep, limit
}

func split(s *state, v []any) any {
	text, sep, limit := s.splitArgs(v)
	if sep != "" && limit < 0 {
		return s.texts(strings.Split(text, sep))
	}
	if sep != "" {
		return s.texts(strings.SplitN(text, sep, limit+1))
	}
	var out []string
	for text = strings.TrimLeftFunc(text, isSpace); text != ""; text = strings.TrimLeftFunc(text, isSpace) {
		i := strings.IndexFunc(text, isSpace)
		if i < 0 || len(out) == limit {
			out = append(out, text)
			break
		}
		out, text = append(out, text[:i]), text[i:]
	}
	return s.texts(out)
}

func rsplit(s *state, v []any) any {
	text, sep, limit := s.splitArgs(v)
	if limit < 0 {
		return split(s, v)
	}
	var out []string
	for sep == "" {
		text = strings.TrimRightFunc(text, isSpace)
		i := strings.LastIndexFunc(text, isSpace)
		if i < 0 || len(out) == limit {
			break
		}
		at := i + len(text[i:]) - len(strings.TrimLeftFunc(text[i:], isSpace))
		out, text = append(out, text[at:]), text[:i]
	}
	for sep != "" && len(out) < limit {
		i := strings.LastIndex(text, sep)
		if i < 0 {
			break
		}
		out, text = append(out, text[i+len(sep):]), text[:i]
	}
	if text != "" || sep != "" {
		out = append(out, text)
	}
	slices.Reverse(out)
	return s.texts(out)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func partition(s *state, v []any) any {
	text, sep, _ := s.splitArgs(append(v, missing))
	if before, after, found := strings.Cut(text, sep); found {
		return Tuple{before, sep, after}
	}
	return Tuple{text, "", ""}
}

func rpartition(s *state, v []any) any {
	text, sep, _ := s.splitArgs(append(v, missing))
	if i := strings.LastIndex(text, sep); i >= 0 {
		return Tuple{text[:i], sep, text[i+len(sep):]}
	}
	return Tuple{"", "", text}
}
