package jinja

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// spec is how a value is to be written: Python's format specification, and
// what % formatting says alike.
type spec struct {
	fill      string
	align     byte // one of <>=^; 0: the type's own
	sign      byte // one of "+- "
	alternate bool
	width     int
	group     string // "," or "_" between thousands
	precision int    // -1: none
	verb      byte   // 0: none
}

// padded brings text, behind sign and prefix, to its width.
func (s *state) padded(f spec, prefix, text string, own byte) string {
	if f.align == 0 {
		f.align = own
	}
	if f.fill == "" {
		f.fill = " "
	}
	n := max(f.width-utf8.RuneCountInString(prefix+text), 0)
	s.afford(n, len(f.fill))
	switch f.align {
	case '<':
		return s.made(prefix + text + strings.Repeat(f.fill, n))
	case '=':
		return s.made(prefix + strings.Repeat(f.fill, n) + text)
	case '^':
		return s.made(strings.Repeat(f.fill, n/2) + prefix + text + strings.Repeat(f.fill, n-n/2))
	}
	return s.made(strings.Repeat(f.fill, n) + prefix + text)
}

// signOf is what stands before a number's digits.
func (f spec) signOf(negative bool) string {
	switch {
	case negative:
		return "-"
	case f.sign == '+' || f.sign == ' ':
		return string(f.sign)
	}
	return ""
}

// integer writes an integer by one of the verbs d, b, o, x, X.
func (s *state) integer(f spec, i *big.Int) string {
	base, prefix := 10, ""
	switch f.verb {
	case 'b':
		base, prefix = 2, "0b"
	case 'o':
		base, prefix = 8, "0o"
	case 'x', 'X':
		base, prefix = 16, "0"+string(f.verb)
	default:
		s.checkDigits(i)
	}
	if !f.alternate {
		prefix = ""
	}
	text := new(big.Int).Abs(i).Text(base)
	if f.verb == 'X' {
		text = strings.ToUpper(text)
	}
	if n := f.precision - len(text); n > 0 {
		s.afford(n, 1)
		text = strings.Repeat("0", n) + text
	}
	every := 3
	if base != 10 {
		every = 4
	}
	return s.padded(f, f.signOf(i.Sign() < 0)+prefix, f.grouped(text, every, len(prefix)), '>')
}

// float writes a float by one of the verbs e, f, g, % and their capitals, or
// none.
func (s *state) float(f spec, v float64) string {
	precision := f.precision
	if precision < 0 {
		precision = 6
	}
	if precision > 1000 {
		s.fail("precision too big")
	}
	percent := ""
	abs := math.Abs(v)
	var text string
	switch f.verb {
	case 'e', 'E':
		text = strconv.FormatFloat(abs, 'e', precision, 64)
	case 'f', 'F':
		text = strconv.FormatFloat(abs, 'f', precision, 64)
	case '%':
		text, percent = strconv.FormatFloat(abs*100, 'f', precision, 64), "%"
	case 'g', 'G':
		text = general(abs, max(precision, 1), f.alternate)
	default:
		if text = formatFloat(abs); f.precision >= 0 {
			text = general(abs, max(precision, 1), false)
			if !strings.ContainsAny(text, ".en") {
				text += ".0"
			}
		}
	}
	if math.IsInf(v, 0) || math.IsNaN(v) {
		text = strings.ToLower(strings.TrimPrefix(text, "+"))
	} else if f.alternate && !strings.Contains(text, ".") {
		text += "."
	}
	if f.verb == 'E' || f.verb == 'F' || f.verb == 'G' {
		text = strings.ToUpper(text)
	}
	whole, rest, found := strings.Cut(text, ".")
	if found {
		rest = "." + rest
	}
	return s.padded(f, f.signOf(math.Signbit(v) && !math.IsNaN(v)), f.grouped(whole, 3, len(rest+percent))+rest+percent, '>')
}

// general is C's %g: precision digits, the exponent where it is shorter.
func general(v float64, precision int, keep bool) string {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return formatFloat(v)
	}
	text := strconv.FormatFloat(v, 'e', precision-1, 64)
	mantissa, exp, _ := strings.Cut(text, "e")
	if e, _ := strconv.Atoi(exp); e >= -4 && e < precision {
		mantissa, exp = strconv.FormatFloat(v, 'f', precision-1-e, 64), ""
	}
	if strings.Contains(mantissa, ".") && !keep {
		mantissa = strings.TrimRight(strings.TrimRight(mantissa, "0"), ".")
	}
	if exp != "" {
		return mantissa + "e" + exp
	}
	return mantissa
}

// grouped puts separators between digits. Zeros that fill the width, all but
// the last more characters of it, are grouped too.
func (f spec) grouped(digits string, every, more int) string {
	if f.group == "" {
		return digits
	}
	if f.align == '=' && f.fill == "0" {
		for want := f.width - more; len(digits)+(len(digits)-1)/every < want && want < 1000; {
			digits = "0" + digits
		}
	}
	var out strings.Builder
	for i, c := range []byte(digits) {
		if i > 0 && (len(digits)-i)%every == 0 {
			out.WriteString(f.group)
		}
		out.WriteByte(c)
	}
	return out.String()
}
