package jinja

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode"
)

// maxDigits is how long an integer Python 3.11 converts from and to text.
const maxDigits = 4300

// text is Python's str().
func (s *state) text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case Markup:
		return string(v)
	case *undefined:
		if s.t.opts.Missing == "" || v.silent {
			return ""
		}
		if v.name == nil {
			return s.t.opts.Missing + "None"
		}
		return s.t.opts.Missing + s.text(v.name)
	}
	return s.repr(v)
}

// repr is Python's repr().
func (s *state) repr(v any) string {
	w := &writer{s: s}
	w.value(v, 0)
	return s.made(w.out.String())
}

// repr is for messages: the beginning of Python's repr().
func repr(v any) string {
	w := &writer{}
	w.value(v, 0)
	return w.out.String()
}

// writer writes values as Python does.
type writer struct {
	s   *state // nil: short, for a message
	out strings.Builder
}

func (w *writer) value(v any, depth int) {
	if w.s == nil && (depth > 3 || w.out.Len() > 200) {
		w.out.WriteString("...")
		return
	}
	if depth > maxDeep {
		w.s.fail("maximum recursion depth exceeded while getting the repr of an object")
	}
	if w.s != nil {
		w.s.charge(1)
	}
	switch v := v.(type) {
	case *List:
		w.list("[", v.Items, "]", depth)
	case Tuple:
		w.tuple(v, depth)
	case *group:
		w.tuple(v.Tuple, depth)
	case *Dict:
		w.dict(v, depth)
	case *view:
		w.out.WriteString(v.name + "(")
		w.list("[", v.items(), "])", depth)
	default:
		text := w.scalar(v)
		if w.s != nil {
			w.s.made(text)
		}
		w.out.WriteString(text)
	}
}

func (w *writer) list(open string, items []any, end string, depth int) {
	w.out.WriteString(open)
	for i, item := range items {
		if i > 0 {
			w.out.WriteString(", ")
		}
		w.value(item, depth+1)
	}
	w.out.WriteString(end)
}

func (w *writer) tuple(t Tuple, depth int) {
	end := ")"
	if len(t) == 1 {
		end = ",)"
	}
	w.list("(", t, end, depth)
}

func (w *writer) dict(d *Dict, depth int) {
	w.out.WriteString("{")
	for i, k := range d.keys {
		if i > 0 {
			w.out.WriteString(", ")
		}
		w.value(k, depth+1)
		w.out.WriteString(": ")
		w.value(d.values[i], depth+1)
	}
	w.out.WriteString("}")
}

func (w *writer) scalar(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case *big.Int:
		if w.s != nil {
			w.s.checkDigits(v)
		}
		return v.String()
	case float64:
		return formatFloat(v)
	case string:
		return quote(v)
	case Markup:
		return "Markup(" + quote(string(v)) + ")"
	case *undefined:
		return "Undefined"
	case rangeValue:
		if v.step == 1 {
			return fmt.Sprintf("range(%d, %d)", v.start, v.stop)
		}
		return fmt.Sprintf("range(%d, %d, %d)", v.start, v.stop, v.step)
	case *loop:
		return fmt.Sprintf("<LoopContext %d/%d>", v.index+1, len(v.items))
	case *macro:
		return "<Macro " + quote(v.def.name) + ">"
	case *namespace:
		inner := &writer{s: w.s}
		inner.dict(&v.vars, maxDeep/2)
		return "<Namespace " + inner.out.String() + ">"
	}
	return "<" + typeName(v) + " object>"
}

func (s *state) checkDigits(i *big.Int) {
	if i.BitLen() > maxDigits*4 || len(i.String()) > maxDigits+1 {
		s.fail("Exceeds the limit (%d digits) for integer string conversion", maxDigits)
	}
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

// quote is Python's repr of a text.
func quote(text string) string {
	mark := '\''
	if strings.Contains(text, "'") && !strings.Contains(text, `"`) {
		mark = '"'
	}
	var out strings.Builder
	out.WriteRune(mark)
	for _, r := range text {
		switch {
		case r == mark || r == '\\':
			out.WriteString("\\" + string(r))
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\r':
			out.WriteString(`\r`)
		case r == '\t':
			out.WriteString(`\t`)
		case unicode.IsPrint(r):
			out.WriteRune(r)
		default:
			out.WriteString(hexEscape(r))
		}
	}
	out.WriteRune(mark)
	return out.String()
}

// hexEscape is how Python writes a character by its number.
func hexEscape(r rune) string {
	switch {
	case r < 0x100:
		return fmt.Sprintf(`\x%02x`, r)
	case r < 0x10000:
		return fmt.Sprintf(`\u%04x`, r)
	}
	return fmt.Sprintf(`\U%08x`, r)
}
