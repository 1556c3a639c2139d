package jinja

import (
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// numberFilters are those on numbers (jinja2/filters.py, 3.1.2).
func numberFilters() map[string]native {
	return map[string]native{
		"abs":            {"", absolute},
		"filesizeformat": {"binary?", filesize},
		"float":          {"default?", floatFilter},
		"int":            {"default? base?", intFilter},
		"round":          {"precision? method?", round},
		"sum":            {"attribute? start?", sum},
	}
}

func absolute(s *state, v []any) any {
	s.defined(v[0])
	if i, ok := asInt(v[0]); ok {
		return new(big.Int).Abs(i)
	}
	f, ok := v[0].(float64)
	if !ok {
		s.fail("bad operand type for abs(): '%s'", typeName(v[0]))
	}
	return math.Abs(f)
}

func sum(s *state, v []any) any {
	get := s.getter(v[1], nil, false)
	total := bigArg(v[2], 0)
	if _, ok := asText(total); ok {
		s.fail("sum() can't sum strings [use ''.join(seq) instead]")
	}
	for _, item := range s.items(v[0]) {
		total = s.binary("+", total, get(item))
	}
	return total
}

var integerText = regexp.MustCompile(`^[-+]?[0-9a-zA-Z]+(?:_[0-9a-zA-Z]+)*$`)

// parseInt is Python's int(text, base).
func parseInt(text string, base int) (*big.Int, bool) {
	text = strings.TrimFunc(text, isSpace)
	if !integerText.MatchString(text) || len(text) > maxDigits || base != 0 && (base < 2 || base > 36) {
		return nil, false
	}
	text = strings.ReplaceAll(text, "_", "")
	sign, digits := "", strings.TrimLeft(text, "+-")
	if strings.HasPrefix(text, "-") {
		sign = "-"
	}
	if prefix := map[int]string{2: "0b", 8: "0o", 16: "0x"}[base]; prefix != "" && len(digits) > 2 {
		digits = strings.TrimPrefix(strings.ToLower(digits), prefix)
	}
	if base == 0 && len(digits) > 1 && digits[0] == '0' && digits[1] <= '9' && strings.Trim(digits, "0") != "" {
		return nil, false
	}
	return new(big.Int).SetString(sign+digits, base)
}

var floatText = regexp.MustCompile(`^[-+]?(?:(?:[0-9](?:_?[0-9])*)?\.?(?:[0-9](?:_?[0-9])*)?(?:e[-+]?[0-9](?:_?[0-9])*)?|inf|infinity|nan)$`)

// parseFloat is Python's float(text).
func parseFloat(text string) (float64, bool) {
	text = strings.ToLower(strings.TrimFunc(text, isSpace))
	if len(text) > maxDigits || !floatText.MatchString(text) {
		return 0, false
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64)
	return f, err == nil || math.IsInf(f, 0)
}

func floatFilter(s *state, v []any) any {
	s.defined(v[0])
	if f, ok := asFloat(v[0]); ok {
		return f
	}
	if text, ok := asText(v[0]); ok {
		if f, ok := parseFloat(text); ok {
			return f
		}
	}
	if v[1] == missing {
		return 0.0
	}
	return v[1]
}

func intFilter(s *state, v []any) any {
	s.defined(v[0])
	def := bigArg(v[1], 0)
	f, isFloat := v[0].(float64)
	if i, ok := asInt(v[0]); ok {
		return i
	}
	if text, ok := asText(v[0]); ok {
		if i, ok := parseInt(text, s.intArg(v[2], 10)); ok {
			return i
		}
		f, isFloat = parseFloat(text)
	}
	switch {
	case !isFloat, math.IsNaN(f):
		return def
	case math.IsInf(f, 0):
		s.fail("cannot convert float infinity to integer")
	}
	i, _ := big.NewFloat(f).Int(nil)
	return i
}

func round(s *state, v []any) any {
	s.defined(v[0])
	precision := s.intArg(v[1], 0)
	method := s.textArg(v[2], "common")
	if method != "common" && method != "ceil" && method != "floor" {
		s.fail("method must be common, ceil or floor")
	}
	i, isInt := asInt(v[0])
	f, ok := asFloat(v[0])
	switch {
	case !ok:
		s.fail("type %s doesn't define __round__ method", typeName(v[0]))
	case method != "common":
		return s.roundTo(v[0], precision, method)
	case isInt && precision >= 0:
		return i
	case isInt:
		return roundRat(new(big.Rat).SetInt(i), precision)
	case math.IsNaN(f), math.IsInf(f, 0), precision > 400:
		return f
	case precision < 0:
		r, _ := new(big.Float).SetInt(roundRat(new(big.Rat).SetFloat64(f), precision)).Float64()
		return math.Copysign(r, f)
	}
	r, _ := strconv.ParseFloat(strconv.FormatFloat(f, 'f', precision, 64), 64)
	return r
}

// roundTo is ceil or floor of v * 10**precision, brought back.
func (s *state) roundTo(v any, precision int, method string) any {
	scale := s.binary("**", number(10), number(precision))
	f, _ := asFloat(s.binary("*", v, scale))
	if math.IsNaN(f) || math.IsInf(f, 0) {
		s.fail("cannot convert float %s to integer", formatFloat(f))
	}
	if method == "ceil" {
		f = math.Ceil(f)
	} else {
		f = math.Floor(f)
	}
	i, _ := big.NewFloat(f).Int(nil)
	return s.binary("/", i, scale)
}

// roundRat rounds to 10**-precision, halves to even.
func roundRat(r *big.Rat, precision int) *big.Int {
	if precision < -maxDigits {
		return new(big.Int)
	}
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(-precision)), nil)
	r = new(big.Rat).Quo(r, new(big.Rat).SetInt(scale))
	double := new(big.Int).Mul(r.Num(), big.NewInt(2))
	double.Add(double, r.Denom())
	q, m := new(big.Int).DivMod(double, new(big.Int).Mul(r.Denom(), big.NewInt(2)), new(big.Int))
	if m.Sign() == 0 && q.Bit(0) == 1 {
		q.Sub(q, big.NewInt(1))
	}
	return q.Mul(q, scale)
}

func filesize(s *state, v []any) any {
	f, ok := floatFilter(s, []any{v[0], nil}).(float64)
	if !ok {
		s.fail("could not convert to float: %s", repr(v[0]))
	}
	base, prefixes := 1000.0, []string{"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"}
	if s.boolArg(v[1]) {
		base, prefixes = 1024, []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"}
	}
	switch {
	case f == 1:
		return "1 Byte"
	case math.IsNaN(f) || math.IsInf(f, -1):
		s.fail("cannot convert float %s to integer", formatFloat(f))
	case f < base:
		return fmt.Sprintf("%.0f Bytes", math.Trunc(f))
	}
	unit := base * base
	for i, prefix := range prefixes {
		if f < unit || i == len(prefixes)-1 {
			return fmt.Sprintf("%.1f %s", base*f/unit, prefix)
		}
		unit *= base
	}
	return nil
}
