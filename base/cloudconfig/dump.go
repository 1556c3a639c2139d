package cloudconfig

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// Dump writes the value as cloud-init writes cloud-config.txt: block style,
// sorted keys, indent 4, lines folded at 80, "---" before and "..." after,
// ASCII only (cloudinit/safeyaml.py dumps, 22.4, with PyYAML 6.0). A list or
// map that occurs twice is written once and referred to. [Parse] gives the
// value back.
func Dump(n *Node) []byte {
	d := &dumper{uses: map[*Node]int{}, anchors: map[*Node]string{}, indent: -1}
	d.count(n)
	d.write("---")
	d.node(n, context{})
	d.newLine()
	d.write("...")
	d.line()
	return d.out.Bytes()
}

const (
	dumpIndent = 4
	dumpWidth  = 80
	maxKey     = 128 // a longer key is written with "?"
)

// dumper is the state of one document being written.
type dumper struct {
	out     bytes.Buffer
	column  int
	indent  int  // of the innermost block, -1 outside
	blank   bool // a blank, or an indicator that serves as one, was just written
	opening bool // only indentation and "-", "?", ":" stand on the line

	uses    map[*Node]int
	anchors map[*Node]string // "" until the node is written
	last    int              // number of the last anchor
}

// context is where a node stands.
type context struct {
	inMap bool // value or key of a map
	key   bool // a key on one line with its value
}

// count finds the nodes that need an anchor, numbered by their second
// occurrence.
func (d *dumper) count(n *Node) {
	if k := n.kind(); k != KindList && k != KindMap && k != KindTime {
		return
	}
	if d.uses[n]++; d.uses[n] > 1 {
		if d.uses[n] == 2 {
			d.last++
			d.anchors[n] = fmt.Sprintf("id%03d", d.last)
		}
		return
	}
	for _, item := range n.Items() {
		d.count(item)
	}
	for _, p := range sorted(n.Pairs()) {
		d.count(p.Key)
		d.count(p.Value)
	}
}

// sorted orders pairs as Python sorts their keys; keys of kinds that do not
// compare leave the order as it is.
func sorted(pairs []Pair) []Pair {
	out := slices.Clone(pairs)
	strs := !slices.ContainsFunc(out, func(p Pair) bool { return p.Key.kind() != KindString })
	nums := !slices.ContainsFunc(out, func(p Pair) bool { return p.Key.numeric() == nil })
	switch {
	case strs:
		slices.SortStableFunc(out, func(a, b Pair) int { return strings.Compare(a.Key.text, b.Key.text) })
	case nums:
		slices.SortStableFunc(out, func(a, b Pair) int { return a.Key.numeric().Cmp(b.Key.numeric()) })
	}
	return out
}

func (d *dumper) node(n *Node, c context) {
	if name, ok := d.anchors[n]; ok {
		if d.uses[n] < 0 {
			d.indicator("*"+name, true)
			return
		}
		d.uses[n] = -1
		d.indicator("&"+name, true)
	}
	switch {
	case n.kind() == KindList && len(n.items) == 0:
		d.indicator("[]", true)
	case n.kind() == KindMap && len(n.pairs) == 0:
		d.indicator("{}", true)
	case n.kind() == KindList:
		d.list(n, c)
	case n.kind() == KindMap:
		d.mapping(n)
	default:
		outer := d.indent
		d.indent = max(d.indent, 0) + dumpIndent
		d.scalar(n, c)
		d.indent = outer
	}
}

// list writes a block list; as the value of a map it is not indented.
func (d *dumper) list(n *Node, c context) {
	outer := d.indent
	if d.indent < 0 || !c.inMap || d.opening {
		d.deepen()
	}
	for _, item := range n.items {
		d.newLine()
		d.opener("-")
		d.node(item, context{})
	}
	d.indent = outer
}

func (d *dumper) mapping(n *Node) {
	outer := d.indent
	d.deepen()
	for _, p := range sorted(n.pairs) {
		d.newLine()
		if d.simple(p.Key) {
			d.node(p.Key, context{inMap: true, key: true})
			d.indicator(":", false)
		} else {
			d.opener("?")
			d.node(p.Key, context{inMap: true})
			d.newLine()
			d.opener(":")
		}
		d.node(p.Value, context{inMap: true})
	}
	d.indent = outer
}

// deepen begins a block inside the present one.
func (d *dumper) deepen() {
	if d.indent < 0 {
		d.indent = 0
		return
	}
	d.indent += dumpIndent
}

// simple tells whether a key fits on one line with its value.
func (d *dumper) simple(key *Node) bool {
	if d.uses[key] < 0 {
		return true
	}
	text, tag := key.scalarText()
	a := analyze(text)
	length := a.length + len(tag)
	if name, ok := d.anchors[key]; ok {
		length += len(name)
	}
	return length < maxKey && text != "" && !a.breaks
}

// scalarText is what PyYAML represents a scalar by, and its tag.
func (n *Node) scalarText() (text, tag string) {
	switch n.kind() {
	case KindNull:
		return "null", "!!null"
	case KindBool:
		return strings.ToLower(n.String()), "!!bool"
	case KindInt:
		return n.String(), "!!int"
	case KindFloat:
		return floatText(n.float), "!!float"
	case KindTime:
		return n.timeText(), "!!timestamp"
	case KindBinary:
		return base64Lines(n.text), "!!binary"
	}
	return n.text, "!!str"
}

func floatText(f float64) string {
	switch text := formatFloat(f); {
	case text == "inf", text == "nan":
		return "." + text
	case text == "-inf":
		return "-.inf"
	case !strings.Contains(text, "."):
		return strings.Replace(text, "e", ".0e", 1)
	default:
		return text
	}
}

// base64Lines is base64 in lines of 76 characters, each ended.
func base64Lines(data string) string {
	var out strings.Builder
	for text := base64.StdEncoding.EncodeToString([]byte(data)); text != ""; {
		n := min(76, len(text))
		out.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	return out.String()
}
