package cloudconfig

import (
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// maxDigits is how long an integer Python 3.11 converts (int max str digits);
// here for every base.
const maxDigits = 4300

func boolWord(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "yes", "true", "on":
		return true, nil
	case "no", "false", "off":
		return false, nil
	}
	return false, fmt.Errorf("%q is no boolean", text)
}

// sign splits off a sign and takes the underscores out.
func sign(text string) (rest string, negative bool) {
	text = strings.ReplaceAll(text, "_", "")
	if strings.HasPrefix(text, "-") {
		return text[1:], true
	}
	return strings.TrimPrefix(text, "+"), false
}

// parseInt reads binary, octal with a leading 0, hexadecimal, base 60 and
// decimal (yaml/constructor.py construct_yaml_int, 6.0).
func parseInt(text string) (*big.Int, error) {
	rest, negative := sign(text)
	if len(rest) > maxDigits {
		return nil, fmt.Errorf("an integer of more than %d digits", maxDigits)
	}
	base := 10
	switch {
	case strings.HasPrefix(rest, "0b"):
		base, rest = 2, rest[2:]
	case strings.HasPrefix(rest, "0x"):
		base, rest = 16, rest[2:]
	case strings.HasPrefix(rest, "0") && rest != "0":
		base = 8
	}
	value := new(big.Int)
	for part := range strings.SplitSeq(rest, ":") {
		digits, ok := new(big.Int).SetString(part, base)
		if !ok || !unsigned(part) || base != 10 && part != rest {
			return nil, fmt.Errorf("%q is no integer", text)
		}
		value.Add(value.Mul(value, big.NewInt(60)), digits)
	}
	if negative {
		value.Neg(value)
	}
	return value, nil
}

// unsigned tells that text has no sign of its own.
func unsigned(text string) bool {
	return text != "" && text[0] != '-' && text[0] != '+'
}

var decimal = regexp.MustCompile(`^(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[-+]?[0-9]+)?$`)

// parseFloat reads decimal fractions, base 60, .inf and .nan
// (yaml/constructor.py construct_yaml_float, 6.0).
func parseFloat(text string) (float64, error) {
	rest, negative := sign(strings.ToLower(text))
	value := 0.0
	switch rest {
	case ".inf":
		value = math.Inf(1)
	case ".nan":
		return math.NaN(), nil
	default:
		parts := strings.Split(rest, ":")
		unit := 1.0
		for i := len(parts) - 1; i >= 0; i-- {
			if !decimal.MatchString(parts[i]) {
				return 0, fmt.Errorf("%q is no float", text)
			}
			digit, _ := strconv.ParseFloat(parts[i], 64) // beyond the range is infinite, in Python too
			value += digit * unit
			unit *= 60
		}
	}
	if negative {
		value = -value
	}
	return value, nil
}

// formatFloat is Python's repr of a float.
func formatFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	text := strconv.FormatFloat(f, 'e', -1, 64)
	_, exp, _ := strings.Cut(text, "e")
	if e, _ := strconv.Atoi(exp); e < -4 || e >= 16 {
		return text
	}
	text = strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}
