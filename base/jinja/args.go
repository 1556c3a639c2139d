package jinja

import "math/big"

// intArg is an argument that must be an integer, def if it is missing.
func (s *state) intArg(v any, def int) int {
	if v == missing {
		return def
	}
	s.defined(v)
	i, ok := asInt(v)
	if !ok {
		s.fail("'%s' object cannot be interpreted as an integer", typeName(v))
	}
	return s.small(i)
}

// textArg is an argument as text, def if it is missing.
func (s *state) textArg(v any, def string) string {
	if v == missing {
		return def
	}
	return s.text(v)
}

// strArg is an argument that must be a text.
func (s *state) strArg(v any) string {
	text, ok := asText(v)
	if !ok {
		s.defined(v)
		s.fail("must be str, not %s", typeName(v))
	}
	return text
}

// boolArg is an argument's truth, false if it is missing.
func (s *state) boolArg(v any) bool { return v != missing && s.truth(v) }

// none is nil for a missing argument.
func none(v any) any {
	if v == missing {
		return nil
	}
	return v
}

// bigArg is v, def if it is missing.
func bigArg(v any, def int64) any {
	if v == missing {
		return big.NewInt(def)
	}
	return v
}
