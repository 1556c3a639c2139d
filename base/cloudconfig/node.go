// Package cloudconfig is the #cloud-config document: YAML as cloud-init reads
// it, positions, merging, schema check; no I/O.
//
// cloud-init reads its documents with PyYAML's SafeLoader, which follows YAML
// 1.1 with deviations of its own; this package gives the same value for the
// same text. A [Node] also stands for JSON documents (metadata), so that the
// guest has one kind of configuration value.
package cloudconfig

import (
	"fmt"
	"math/big"
	"slices"
	"time"
)

// Kind is the type of a [Node]'s value.
type Kind uint8

// The kinds, by the Python type that PyYAML makes.
const (
	KindNull   Kind = iota // None
	KindBool               // bool
	KindInt                // int
	KindFloat              // float
	KindString             // str
	KindBinary             // bytes, from !!binary
	KindTime               // datetime.date, datetime.datetime
	KindList               // list; also what !!set, !!omap and !!pairs make
	KindMap                // dict
)

// String is the kind as a message names it.
func (k Kind) String() string {
	switch k {
	case KindNull:
		return "null"
	case KindBool:
		return "boolean"
	case KindInt:
		return "integer"
	case KindFloat:
		return "float"
	case KindString:
		return "string"
	case KindBinary:
		return "binary"
	case KindTime:
		return "time"
	case KindList:
		return "list"
	case KindMap:
		return "map"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Node is one value of a document and its position. Nodes are immutable and
// safe for concurrent use; an alias shares the node of its anchor. A nil *Node
// stands for "not there": every method takes it, as a null.
type Node struct {
	Kind         Kind
	Line, Column int // both from 1; 0 when made by New… or read from JSON

	boolean bool
	integer int64
	big     *big.Int // instead of integer, when beyond its range
	float   float64
	text    string // String, Binary
	time    time.Time
	written timeForm
	items   []*Node
	pairs   []Pair
}

// Pair is one entry of a map. Keys are scalars of any kind, as in Python.
type Pair struct {
	Key   *Node
	Value *Node
}

// timeForm tells how much of a time was written.
type timeForm uint8

const (
	timeOffset timeForm = iota // date, time and offset
	timeLocal                  // date and time
	timeDate                   // date alone
)

// NewString makes a string node without position.
func NewString(s string) *Node { return &Node{Kind: KindString, text: s} }

// NewBool makes a boolean node without position.
func NewBool(b bool) *Node { return &Node{Kind: KindBool, boolean: b} }

// NewInt makes an integer node without position.
func NewInt(i int64) *Node { return &Node{Kind: KindInt, integer: i} }

// NewList makes a list node without position; it takes over items.
func NewList(items ...*Node) *Node { return &Node{Kind: KindList, items: items} }

// NewMap makes a map node without position; of equal keys the last value
// counts.
func NewMap(pairs ...Pair) *Node {
	var d dict
	for _, p := range pairs {
		d.set(p.Key, p.Value)
	}
	return &Node{Kind: KindMap, pairs: d.pairs}
}

// With returns a copy of the map n (nil: an empty one) in which key has value.
func (n *Node) With(key string, value *Node) *Node {
	out := n.copyMap()
	var d dict
	for _, p := range n.Pairs() {
		d.set(p.Key, p.Value)
	}
	d.set(NewString(key), value)
	out.pairs = d.pairs
	return out
}

// Without returns a copy of the map n that lacks the keys.
func (n *Node) Without(keys ...string) *Node {
	out := n.copyMap()
	out.pairs = slices.DeleteFunc(slices.Clone(n.Pairs()), func(p Pair) bool {
		return p.Key.Kind == KindString && slices.Contains(keys, p.Key.text)
	})
	return out
}

func (n *Node) copyMap() *Node {
	if n == nil {
		return &Node{Kind: KindMap}
	}
	return &Node{Kind: KindMap, Line: n.Line, Column: n.Column}
}

// Errorf makes an [*Error] at n's position.
func (n *Node) Errorf(format string, args ...any) error {
	e := &Error{Text: fmt.Sprintf(format, args...)}
	if n != nil {
		e.Line, e.Column = n.Line, n.Column
	}
	return e
}
