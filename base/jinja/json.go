package jinja

import (
	"fmt"
	"math/big"
	"sort"
	"strconv"
	"strings"
	"unicode/utf16"
)

// tojson writes a value as json.dumps(sort_keys=True) does, with what HTML
// minds escaped.
func tojson(s *state, v []any) any {
	w := &jsonWriter{s: s, item: ", "}
	switch indent := none(v[1]).(type) {
	case nil:
	case string:
		w.indent, w.item = indent, ","
	default:
		n := s.intArg(indent, 0)
		s.afford(n, maxDeep)
		w.indent, w.item = strings.Repeat(" ", max(n, 0)), ","
	}
	w.pretty = w.item == ","
	w.value(v[0], 0)
	text := strings.NewReplacer("<", `\u003c`, ">", `\u003e`, "&", `\u0026`, "'", `\u0027`).Replace(w.out.String())
	return Markup(s.made(text))
}

type jsonWriter struct {
	s      *state
	out    strings.Builder
	pretty bool
	indent string
	item   string // between items
}

func (w *jsonWriter) value(v any, depth int) {
	w.s.charge(1 + w.out.Len()>>20)
	if depth > maxDeep {
		w.s.fail("maximum recursion depth exceeded while encoding a JSON object")
	}
	if t, ok := asTuple(v); ok {
		v = &List{t}
	}
	if text, ok := asText(v); ok {
		w.text(text)
		return
	}
	switch v := v.(type) {
	case *List:
		w.nested("[", "]", len(v.Items), depth, func(i int) { w.value(v.Items[i], depth+1) })
	case *Dict:
		w.dict(v, depth)
	case nil, bool, *big.Int, float64:
		w.out.WriteString(w.scalar(v))
	default:
		w.s.fail("Object of type %s is not JSON serializable", typeName(v))
	}
}

func (w *jsonWriter) scalar(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case float64:
		switch text := formatFloat(v); text {
		case "nan":
			return "NaN"
		case "inf":
			return "Infinity"
		case "-inf":
			return "-Infinity"
		default:
			return text
		}
	}
	return w.s.text(v)
}

func (w *jsonWriter) nested(open, end string, n, depth int, item func(int)) {
	w.out.WriteString(open)
	for i := range n {
		if i > 0 {
			w.out.WriteString(w.item)
		}
		w.line(depth + 1)
		item(i)
	}
	if n > 0 {
		w.line(depth)
	}
	w.out.WriteString(end)
}

func (w *jsonWriter) line(depth int) {
	if w.pretty {
		w.s.charge(depth * len(w.indent) / 32)
		w.out.WriteString("\n" + strings.Repeat(w.indent, depth))
	}
}

func (w *jsonWriter) dict(d *Dict, depth int) {
	order := make([]int, len(d.keys))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, j int) bool { return w.s.less(d.keys[order[i]], d.keys[order[j]]) })
	w.nested("{", "}", len(order), depth, func(i int) {
		switch k := d.keys[order[i]].(type) {
		case nil, bool, *big.Int, float64:
			w.text(w.scalar(k))
		default:
			text, ok := asText(k)
			if !ok {
				w.s.fail("keys must be str, int, float, bool or None, not %s", typeName(k))
			}
			w.text(text)
		}
		w.out.WriteString(": ")
		w.value(d.values[order[i]], depth+1)
	})
}

func (w *jsonWriter) text(text string) {
	w.s.charge(len(text) / 32)
	w.out.WriteByte('"')
	for _, r := range text {
		const plain, letters = "\"\\\n\r\t\f\b", `"\nrtfb`
		switch i := strings.IndexRune(plain, r); {
		case i >= 0:
			w.out.WriteString(`\` + letters[i:i+1])
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&w.out, `\u%04x\u%04x`, high, low)
		case r < ' ' || r > '~':
			fmt.Fprintf(&w.out, `\u%04x`, r)
		default:
			w.out.WriteRune(r)
		}
	}
	w.out.WriteByte('"')
}
