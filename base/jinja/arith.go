package jinja

import (
	"math"
	"math/big"
	"strings"
)

// maxBits bounds integers.
const maxBits = 1 << 16

// binary is an arithmetic operator.
func (s *state) binary(op string, a, b any) any {
	if text, ok := asText(a); ok && op == "%" {
		return s.percent(text, b)
	}
	s.operands(op, a, b)
	x, isInt := asInt(a)
	y, alsoInt := asInt(b)
	if isInt && alsoInt {
		return s.integers(op, x, y)
	}
	f, isNum := asFloat(a)
	g, alsoNum := asFloat(b)
	switch {
	case isNum && alsoNum:
		return s.floats(op, f, g)
	case op == "+":
		if v := s.joined(a, b); v != nil {
			return v
		}
	case op == "*" && isInt:
		a, y, alsoInt = b, x, true
		fallthrough
	case op == "*" && alsoInt:
		if v := s.repeated(a, y); v != nil {
			return v
		}
	}
	s.fail("unsupported operand type(s) for %s: '%s' and '%s'", op, typeName(a), typeName(b))
	return nil
}

// operands refuses undefined ones (cloudinit/templater.py
// UndefinedJinjaVariable, 22.4, for the subtraction).
func (s *state) operands(op string, a, b any) {
	if u, ok := a.(*undefined); ok && op == "-" && s.t.opts.Missing != "" && !u.silent {
		this := strings.TrimPrefix(s.text(u), s.t.opts.Missing)
		other := strings.ReplaceAll(s.text(b), s.t.opts.Missing, "")
		s.fail(`Undefined jinja variable: "%s-%s". Jinja tried subtraction. Perhaps you meant "%s_%s"?`, this, other, this, other)
	}
	s.defined(a)
	s.defined(b)
}

func (s *state) integers(op string, x, y *big.Int) any {
	s.charge((x.BitLen() + y.BitLen()) / 256)
	z := new(big.Int)
	switch op {
	case "+":
		return s.bounded(z.Add(x, y))
	case "-":
		return s.bounded(z.Sub(x, y))
	case "*":
		return s.bounded(z.Mul(x, y))
	case "**":
		return s.power(x, y)
	}
	if y.Sign() == 0 {
		s.fail("%s", map[string]string{"/": "division by zero", "//": "integer division or modulo by zero", "%": "integer modulo by zero"}[op])
	}
	if op == "/" {
		f, _ := new(big.Rat).SetFrac(x, y).Float64()
		if math.IsInf(f, 0) {
			s.fail("integer division result too large for a float")
		}
		return f
	}
	q, m := z.QuoRem(x, y, new(big.Int))
	if m.Sign() != 0 && m.Sign() != y.Sign() { // Python rounds down
		q.Sub(q, big.NewInt(1))
		m.Add(m, y)
	}
	if op == "%" {
		return m
	}
	return q
}

func (s *state) bounded(i *big.Int) *big.Int {
	if i.BitLen() > maxBits {
		s.fail("an integer of more than %d bits", maxBits)
	}
	return i
}

func (s *state) power(x, y *big.Int) any {
	if y.Sign() < 0 {
		f, _ := asFloat(x)
		g, _ := asFloat(y)
		return s.floats("**", f, g)
	}
	if x.BitLen() > 1 && (!y.IsInt64() || int64(x.BitLen()-1) > maxBits/max(y.Int64(), 1)) {
		s.fail("an integer of more than %d bits", maxBits)
	}
	if x.BitLen() <= 1 && y.Sign() > 0 { // 0, 1, -1
		if x.Sign() < 0 && y.Bit(0) == 0 {
			return big.NewInt(1)
		}
		return x
	}
	return s.bounded(new(big.Int).Exp(x, y, nil))
}

func (s *state) floats(op string, f, g float64) any {
	switch op {
	case "+":
		return f + g
	case "-":
		return f - g
	case "*":
		return f * g
	case "**":
		return s.floatPower(f, g)
	}
	if g == 0 {
		s.fail("%s", map[string]string{"/": "float division by zero", "//": "float floor division by zero", "%": "float modulo"}[op])
	}
	if op == "/" {
		return f / g
	}
	mod := math.Mod(f, g)
	if mod != 0 && (mod < 0) != (g < 0) {
		mod += g
	} else if mod == 0 {
		mod = math.Copysign(0, g)
	}
	if op == "%" {
		return mod
	}
	floor := math.Floor((f - mod) / g)
	if (f-mod)/g-floor > 0.5 {
		floor++
	}
	if floor == 0 {
		return math.Copysign(0, f/g)
	}
	return floor
}

func (s *state) floatPower(f, g float64) any {
	r := math.Pow(f, g)
	switch {
	case f == 0 && g < 0:
		s.fail("0.0 cannot be raised to a negative power")
	case f < 0 && g != math.Trunc(g) && !math.IsInf(f, 0):
		s.fail("complex numbers are not supported")
	case math.IsInf(r, 0) && !math.IsInf(f, 0) && !math.IsInf(g, 0):
		s.fail("(34, 'Numerical result out of range')")
	}
	return r
}

func (s *state) unary(op string, v any) any {
	s.defined(v)
	if i, ok := asInt(v); ok {
		if op == "-" {
			return new(big.Int).Neg(i)
		}
		return i
	}
	f, ok := v.(float64)
	if !ok {
		s.fail("bad operand type for unary %s: '%s'", op, typeName(v))
	}
	if op == "-" {
		return -f
	}
	return f
}
