package jinja

import (
	"math"
	"math/big"
)

// asNumber is the exact value of a number or boolean.
func asNumber(v any) (*big.Float, bool) {
	if i, ok := asInt(v); ok {
		return new(big.Float).SetInt(i), true
	}
	f, ok := v.(float64)
	if !ok || math.IsNaN(f) {
		return new(big.Float), ok
	}
	return big.NewFloat(f), true
}

// asInt is the value of an integer or boolean.
func asInt(v any) (*big.Int, bool) {
	switch v := v.(type) {
	case *big.Int:
		return v, true
	case bool:
		if v {
			return big.NewInt(1), true
		}
		return new(big.Int), true
	}
	return nil, false
}

// asText is the value of a text, marked up or not.
func asText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case Markup:
		return string(v), true
	}
	return "", false
}

// asTuple is the value of a tuple.
func asTuple(v any) (Tuple, bool) {
	if g, ok := v.(*group); ok {
		return g.Tuple, true
	}
	t, ok := v.(Tuple)
	return t, ok
}

// asFloat is the value of a number or boolean.
func asFloat(v any) (float64, bool) {
	if i, ok := asInt(v); ok {
		f, _ := new(big.Float).SetInt(i).Float64()
		return f, true
	}
	f, ok := v.(float64)
	return f, ok
}
