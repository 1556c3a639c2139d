package openstack

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// encode returns v as Python's json.dumps writes it: ", " and ": " between the
// parts, everything beyond printable ASCII escaped. Keys come in the order of
// v's fields. v is one of this package's documents, which all can be encoded.
func encode(v any) []byte {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return pythonStyle(bytes.TrimSuffix(buf.Bytes(), []byte("\n")))
}

// pythonStyle rewrites compact JSON as json.dumps would have written it.
func pythonStyle(compact []byte) []byte {
	out := make([]byte, 0, len(compact)+len(compact)/8)
	inString := false
	for i := 0; i < len(compact); {
		c := compact[i]
		switch {
		case c >= 0x7f:
			r, size := utf8.DecodeRune(compact[i:])
			out = appendEscaped(out, r)
			i += size
			continue
		case inString && c == '\\':
			out = append(out, c, compact[i+1])
			i += 2
			continue
		case c == '"':
			inString = !inString
		}
		out = append(out, c)
		if !inString && (c == ',' || c == ':') {
			out = append(out, ' ')
		}
		i++
	}
	return out
}

func appendEscaped(out []byte, r rune) []byte {
	if r > 0xffff {
		high, low := utf16.EncodeRune(r)
		return fmt.Appendf(out, `\u%04x\u%04x`, high, low)
	}
	return fmt.Appendf(out, `\u%04x`, r)
}
