package openstack

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// VendorData is the site's static vendor data: a JSON object. The zero value
// is the empty object. nova: api/metadata/vendordata_json.py.
type VendorData struct {
	compact string // in the form that reading and writing it with Python gives
	off     bool
}

// NoVendorData is that of a site whose vendordata_providers name no static
// data: vendor_data.json is listed and not found, vendor_data2.json has no
// "static". nova: api/metadata/base.py, _vendor_data.
func NoVendorData() VendorData { return VendorData{off: true} }

// ParseVendorData reads vendor data from the site's file: one JSON object.
// Its keys keep their order; of a repeated key the last value counts, at the
// first one's place, as with Python.
func ParseVendorData(b []byte) (VendorData, error) {
	compact, err := rewrite(b)
	if err != nil {
		return VendorData{}, err
	}
	if !strings.HasPrefix(compact, "{") {
		return VendorData{}, fmt.Errorf("vendor data: not a JSON object")
	}
	return VendorData{compact: compact}, nil
}

// rewrite returns one JSON value as reading and writing it with Python gives it.
func rewrite(b []byte) (string, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var out bytes.Buffer
	if err := rewriteValue(d, &out); err != nil {
		return "", fmt.Errorf("vendor data: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return "", fmt.Errorf("vendor data: more than one JSON value")
	}
	return out.String(), nil
}

// Encode returns vendor_data.json.
func (v VendorData) Encode() []byte { return pythonStyle(v.raw()) }

// VendorAnswer is the answer of a dynamic target. Of the data only the JSON
// value counts, which may be of any type.
type VendorAnswer struct {
	Name string
	Data VendorValue
}

// VendorValue is a JSON value in the form that reading and writing it with
// Python gives. The zero value is the empty object.
type VendorValue struct{ compact string }

// Size is that of the value in bytes.
func (v VendorValue) Size() int { return len(v.compact) }

// ParseVendorValue reads one JSON value of any type.
func ParseVendorValue(b []byte) (VendorValue, error) {
	compact, err := rewrite(b)
	return VendorValue{compact}, err
}

// Encode2 returns vendor_data2.json: the same below "static", and beside it the
// answers of dynamic targets. A name that is there already is left out.
// nova: api/metadata/base.py, _vendor_data2.
func (v VendorData) Encode2(answers ...VendorAnswer) []byte {
	var b bytes.Buffer
	seen := map[string]bool{}
	add := func(name string, value json.RawMessage) {
		if seen[name] {
			return
		}
		seen[name] = true
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.Write(quote(name))
		b.WriteByte(':')
		b.Write(value)
	}
	if !v.off {
		add("static", v.raw())
	}
	for _, a := range answers {
		add(a.Name, VendorData{compact: a.Data.compact}.raw())
	}
	return pythonStyle([]byte("{" + b.String() + "}"))
}

// MarshalJSON returns the object.
func (v VendorData) MarshalJSON() ([]byte, error) { return v.raw(), nil }

// UnmarshalJSON reads what [ParseVendorData] reads; null is the empty object.
func (v *VendorData) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*v = VendorData{}
		return nil
	}
	parsed, err := ParseVendorData(b)
	*v = parsed
	return err
}

func (v VendorData) raw() json.RawMessage {
	if v.compact == "" {
		return json.RawMessage("{}")
	}
	return json.RawMessage(v.compact)
}

// rewriteValue copies one value from d in compact form. The decoder bounds the
// depth.
func rewriteValue(d *json.Decoder, out *bytes.Buffer) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '{' {
			return rewriteObject(d, out)
		}
		return rewriteArray(d, out)
	case json.Number:
		text, err := pythonNumber(t.String())
		out.WriteString(text)
		return err
	case string:
		out.Write(quote(t))
	case bool:
		out.WriteString(strconv.FormatBool(t))
	case nil:
		out.WriteString("null")
	}
	return nil
}

func rewriteObject(d *json.Decoder, out *bytes.Buffer) error {
	var keys []string
	values := map[string][]byte{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		key := t.(string) // the decoder takes nothing else here
		if _, seen := values[key]; !seen {
			keys = append(keys, key)
		}
		var value bytes.Buffer
		if err := rewriteValue(d, &value); err != nil {
			return err
		}
		values[key] = value.Bytes()
	}
	out.WriteByte('{')
	for i, key := range keys {
		if i > 0 {
			out.WriteByte(',')
		}
		out.Write(quote(key))
		out.WriteByte(':')
		out.Write(values[key])
	}
	out.WriteByte('}')
	_, err := d.Token()
	return err
}

func rewriteArray(d *json.Decoder, out *bytes.Buffer) error {
	out.WriteByte('[')
	for first := true; d.More(); first = false {
		if !first {
			out.WriteByte(',')
		}
		if err := rewriteValue(d, out); err != nil {
			return err
		}
	}
	out.WriteByte(']')
	_, err := d.Token()
	return err
}

// Quote returns s as a JSON string in the form that Python's json.dumps writes.
func Quote(s string) []byte { return pythonStyle(quote(s)) }

func quote(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(fmt.Sprintf("encode a string: %v", err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// pythonNumber returns a JSON number as Python's json writes what it read:
// integers in full, floats as repr() has them.
func pythonNumber(s string) (string, error) {
	if !strings.ContainsAny(s, ".eE") {
		n, ok := new(big.Int).SetString(s, 10)
		if !ok {
			return "", fmt.Errorf("number %.40q", s)
		}
		return n.String(), nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return "", fmt.Errorf("number %.40q is out of range", s)
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64), nil
	}
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text, nil
}
