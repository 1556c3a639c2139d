package cloudconfig

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// MarshalJSON writes the value in JSON, map keys in order. Keys that are no
// strings become text, as Python's json.dumps makes them; times become text,
// binaries base64, and floats that JSON lacks null.
func (n *Node) MarshalJSON() ([]byte, error) { return n.appendJSON(nil), nil }

func (n *Node) appendJSON(out []byte) []byte {
	switch n.kind() {
	case KindNull:
		return append(out, "null"...)
	case KindBool:
		return strconv.AppendBool(out, n.boolean)
	case KindInt:
		return n.bigInt().Append(out, 10)
	case KindFloat:
		if math.IsNaN(n.float) || math.IsInf(n.float, 0) {
			return append(out, "null"...)
		}
		return append(out, formatFloat(n.float)...)
	case KindBinary:
		return quoteJSON(out, base64.StdEncoding.EncodeToString([]byte(n.text)))
	case KindList:
		out = append(out, '[')
		for i, item := range n.items {
			if i > 0 {
				out = append(out, ',')
			}
			out = item.appendJSON(out)
		}
		return append(out, ']')
	case KindMap:
		out = append(out, '{')
		for i, p := range n.pairs {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(quoteJSON(out, p.Key.jsonKey()), ':')
			out = p.Value.appendJSON(out)
		}
		return append(out, '}')
	}
	return quoteJSON(out, n.String())
}

func (n *Node) jsonKey() string {
	if k := n.kind(); k == KindNull || k == KindBool {
		return string(n.appendJSON(nil))
	}
	return n.String()
}

// quoteJSON appends s as a JSON string, leaving <, > and & alone.
func quoteJSON(out []byte, s string) []byte {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil { // a string always encodes
		return append(out, `""`...)
	}
	return append(out, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}

// UnmarshalJSON is [ParseJSON] into n.
func (n *Node) UnmarshalJSON(data []byte) error {
	v, err := ParseJSON(data)
	if err == nil {
		*n = *v
	}
	return err
}

// ParseJSON reads one JSON value, keys in order, the last of equal ones
// counting; nodes have no position. [MaxSize] and [MaxDepth] hold.
func ParseJSON(data []byte) (*Node, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("JSON of %d bytes, the limit is %d", len(data), MaxSize)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	n, err := decodeJSON(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text after the JSON value")
	}
	return n, nil
}

func decodeJSON(d *json.Decoder, depth int) (*Node, error) {
	token, err := d.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	switch v := token.(type) {
	case json.Delim:
		if depth >= MaxDepth {
			return nil, fmt.Errorf("JSON of more than %d levels", MaxDepth)
		}
		return decodeNested(d, v, depth)
	case bool:
		return NewBool(v), nil
	case json.Number:
		return jsonNumber(v.String())
	case string:
		return NewString(v), nil
	}
	return &Node{}, nil
}

func decodeNested(d *json.Decoder, open json.Delim, depth int) (*Node, error) {
	var items []*Node
	var pairs dict
	for d.More() {
		n, err := decodeJSON(d, depth+1)
		if err != nil {
			return nil, err
		}
		if open == '[' {
			items = append(items, n)
			continue
		}
		value, err := decodeJSON(d, depth+1)
		if err != nil {
			return nil, err
		}
		pairs.set(n, value)
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if open == '[' {
		return NewList(items...), nil
	}
	return &Node{Kind: KindMap, pairs: pairs.pairs}, nil
}

func jsonNumber(text string) (*Node, error) {
	if strings.ContainsAny(text, ".eE") {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("JSON number out of range: %.40s", text)
		}
		return &Node{Kind: KindFloat, float: f}, nil
	}
	if len(text) > maxDigits {
		return nil, fmt.Errorf("JSON integer of more than %d digits", maxDigits)
	}
	i, ok := new(big.Int).SetString(text, 10)
	if !ok {
		return nil, fmt.Errorf("JSON number %q", text)
	}
	if i.IsInt64() {
		return NewInt(i.Int64()), nil
	}
	return &Node{Kind: KindInt, big: i}, nil
}
