package jinja

import (
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// Dict is a map that keeps the order of its keys; templates can change it.
// The zero value is empty. It is not safe for concurrent use.
type Dict struct {
	keys, values []any
	index        map[string]int
}

// Set gives a text key a value.
func (d *Dict) Set(key string, value any) { d.put("s"+key, key, value) }

// Get is the value of a text key, and whether there is one.
func (d *Dict) Get(key string) (any, bool) {
	i, ok := d.index["s"+key]
	if !ok {
		return nil, false
	}
	return d.values[i], true
}

func (d *Dict) put(id string, key, value any) {
	if i, ok := d.index[id]; ok {
		d.values[i] = value
		return
	}
	if d.index == nil {
		d.index = map[string]int{}
	}
	d.index[id] = len(d.keys)
	d.keys, d.values = append(d.keys, key), append(d.values, value)
}

func (d *Dict) remove(id string) any {
	at := d.index[id]
	value := d.values[at]
	delete(d.index, id)
	for k, i := range d.index {
		if i > at {
			d.index[k] = i - 1
		}
	}
	d.keys, d.values = slices.Delete(slices.Clone(d.keys), at, at+1), slices.Delete(slices.Clone(d.values), at, at+1)
	return value
}

// set is d[key] = value.
func (s *state) set(d *Dict, key, value any) {
	s.charge(1)
	d.put(s.hash(key), key, value)
}

// hash is equal for keys that Python holds equal; it fails on those that
// cannot be keys.
func (s *state) hash(v any) string {
	id, ok := s.key(v, 0)
	if !ok {
		s.fail("unhashable type: '%s'", typeName(v))
	}
	return id
}

// key is hash, and false for what cannot be a key. It pays for what it makes.
func (s *state) key(v any, depth int) (string, bool) {
	s.charge(1)
	if text, ok := asText(v); ok {
		return s.made("s" + text), true
	}
	switch v := v.(type) {
	case nil:
		return "none", true
	case bool, *big.Int:
		i, _ := asInt(v)
		return "n" + i.Text(62), true
	case float64:
		if v == math.Trunc(v) && !math.IsInf(v, 0) {
			i, _ := big.NewFloat(v).Int(nil)
			return "n" + i.Text(62), true
		}
		return "f" + strconv.FormatFloat(v, 'g', -1, 64), true
	case *group:
		return s.keys(v.Tuple, depth)
	case *undefined:
		return "u", true
	case Tuple:
		return s.keys(v, depth)
	}
	return "", false
}

func (s *state) keys(t Tuple, depth int) (string, bool) {
	var out strings.Builder
	out.WriteString("(")
	for _, item := range t {
		id, ok := s.key(item, depth+1)
		if !ok || depth > maxDeep {
			return "", false
		}
		out.WriteString(s.made(strconv.Itoa(len(id)) + ":" + id))
	}
	return out.String(), true
}

// Keys are the text keys in order.
func (d *Dict) Keys() []string {
	var out []string
	for _, k := range d.keys {
		if text, ok := k.(string); ok {
			out = append(out, text)
		}
	}
	return out
}
