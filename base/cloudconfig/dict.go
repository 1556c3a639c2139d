package cloudconfig

import (
	"math"
	"math/big"
	"strconv"
)

// dict collects pairs as a Python dict does: the first position and key of
// equal keys remain, and the last value.
type dict struct {
	pairs []Pair
	index map[string]int
}

func (d *dict) set(key, value *Node) {
	if d.index == nil {
		d.index = map[string]int{}
	}
	id := identity(key)
	if i, ok := d.index[id]; ok && id != "" {
		d.pairs[i].Value = value
		return
	}
	d.index[id] = len(d.pairs)
	d.pairs = append(d.pairs, Pair{key, value})
}

// identity is equal for keys that Python holds equal: 1, 1.0 and True are.
// It is empty for what equals nothing: NaN.
func identity(n *Node) string {
	switch n.kind() {
	case KindNull:
		return "null"
	case KindBool:
		if n.boolean {
			return "n1"
		}
		return "n0"
	case KindInt:
		return "n" + n.bigInt().String()
	case KindFloat:
		return floatIdentity(n.float)
	case KindTime:
		if n.written == timeOffset {
			return "t" + n.time.UTC().String()
		}
		return "t" + n.timeText()
	case KindBinary:
		return "b" + n.text
	}
	return "s" + n.text
}

func floatIdentity(f float64) string {
	switch {
	case math.IsNaN(f):
		return ""
	case f == math.Trunc(f) && !math.IsInf(f, 0):
		i, _ := big.NewFloat(f).Int(nil)
		return "n" + i.String()
	}
	return "f" + strconv.FormatFloat(f, 'g', -1, 64)
}

func (n *Node) bigInt() *big.Int {
	if n.big != nil {
		return n.big
	}
	return big.NewInt(n.integer)
}

func (n *Node) kind() Kind {
	if n == nil {
		return KindNull
	}
	return n.Kind
}

// numeric is the value of a number or boolean as a fraction, which Python
// compares with each other; nil for what is none.
func (n *Node) numeric() *big.Float {
	switch n.kind() {
	case KindBool:
		return big.NewFloat(float64(btoi(n.boolean)))
	case KindInt:
		return new(big.Float).SetInt(n.bigInt())
	case KindFloat:
		if !math.IsNaN(n.float) {
			return big.NewFloat(n.float)
		}
	}
	return nil
}
