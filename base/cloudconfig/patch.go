package cloudconfig

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// maxPatchWork is how many members of maps and lists one patch may copy and
// look at.
const maxPatchWork = 2_000_000

// PatchPart applies a #cloud-config-jsonp part, a JSON patch (RFC 6902), to
// what the parts before it gave; a nil base is an empty map, and nil what
// comes of a patch that makes the document null. All of it is applied or
// nothing (cloudinit/handlers/cloud_config.py _merge_patch, 22.4, and jsonpatch
// 1.32, which adds a whole document only in a map's place).
func PatchPart(base *Node, part []byte) (*Node, error) {
	if base == nil {
		base = NewMap()
	}
	part = bytes.TrimPrefix(bytes.TrimSpace(part), []byte("#cloud-config-jsonp"))
	patch, err := ParseJSON(part)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read JSON patch: %w", err)
	case patch.Kind != KindList:
		return nil, fmt.Errorf("a JSON patch must be a list, not a %s", patch.Kind)
	}
	p := &patcher{doc: base, left: maxPatchWork}
	for i, item := range patch.items {
		o, err := readOperation(item)
		if err == nil {
			err = p.apply(o)
		}
		if err != nil {
			return nil, fmt.Errorf("operation %d of the JSON patch: %w", i+1, err)
		}
	}
	if p.doc.IsNull() {
		return nil, nil
	}
	return p.doc, nil
}

// operation is one entry of a patch.
type operation struct {
	op         string
	path, from pointer
	value      *Node
}

func readOperation(n *Node) (operation, error) {
	var o operation
	if n.kind() != KindMap {
		return o, fmt.Errorf("want a map, have a %s", n.kind())
	}
	words := map[string]string{}
	for _, key := range []string{"op", "path", "from"} {
		v := n.child(key)
		if v != nil && v.Kind != KindString {
			return o, fmt.Errorf("%s must be a string, not a %s", key, v.Kind)
		}
		if v == nil && (key != "from" || words["op"] == "move" || words["op"] == "copy") {
			return o, fmt.Errorf("lacks %s", key)
		}
		words[key] = v.text1()
	}
	o.op, o.value = words["op"], n.child("value")
	if o.value == nil && slices.Contains([]string{"add", "replace", "test"}, o.op) {
		return o, errors.New("lacks value")
	}
	var err error
	o.path, err = parsePointer(words["path"])
	if err == nil && (o.op == "move" || o.op == "copy") {
		if o.from, err = parsePointer(words["from"]); err == nil && len(o.from) == 0 {
			err = fmt.Errorf("cannot %s the whole document", o.op)
		}
	}
	return o, err
}

// text1 is the text of a string node, "" of nil.
func (n *Node) text1() string {
	if n == nil {
		return ""
	}
	return n.text
}

// patcher is a patch under way.
type patcher struct {
	doc  *Node
	left int // members that may still be copied or looked at
}

func (p *patcher) apply(o operation) (err error) {
	if err = p.pay(o.path, o.from); err != nil {
		return err
	}
	switch o.op {
	case "add":
		return p.add(o.path, o.value)
	case "remove":
		return p.remove(o.path)
	case "replace":
		return p.replace(o.path, o.value)
	case "test":
		have, err := o.path.find(p.doc)
		if err == nil && !equal(have, o.value) {
			err = fmt.Errorf("test of %q failed", []string(o.path))
		}
		return err
	case "copy":
		value, err := o.from.find(p.doc)
		if err != nil {
			return err
		}
		return p.add(o.path, value)
	case "move":
		return p.move(o.from, o.path)
	}
	return fmt.Errorf("unknown operation %.40q", o.op)
}

// pay charges for the maps and lists on the way to what changes.
func (p *patcher) pay(paths ...pointer) error {
	for _, path := range paths {
		n := p.doc
		for _, part := range path {
			p.left -= 1 + len(n.Items()) + len(n.Pairs())
			next, err := n.step(part)
			if err != nil {
				break
			}
			n = next
		}
	}
	if p.left < 0 {
		return errors.New("too much work")
	}
	return nil
}

// copied is a copy of value that shares no map or list with it, at most depth
// levels deep.
func (p *patcher) copied(value *Node, depth int) (*Node, error) {
	if depth <= 0 {
		return nil, fmt.Errorf("more than %d levels", MaxDepth)
	}
	if p.left--; p.left < 0 {
		return nil, errors.New("too much work")
	}
	out := *value
	out.items, out.pairs = slices.Clone(value.items), slices.Clone(value.pairs)
	var err error
	for i := range out.items {
		if out.items[i], err = p.copied(out.items[i], depth-1); err != nil {
			return nil, err
		}
	}
	for i := range out.pairs {
		if out.pairs[i].Value, err = p.copied(out.pairs[i].Value, depth-1); err != nil {
			return nil, err
		}
	}
	return &out, nil
}

func (p *patcher) add(path pointer, value *Node) (err error) {
	if value, err = p.copied(value, MaxDepth-len(path)); err != nil {
		return err
	}
	if len(path) > 0 {
		p.doc, err = path.edit(p.doc, func(parent *Node, last string) (*Node, error) { return parent.added(last, value) })
		return err
	}
	if p.doc.Kind != KindMap {
		return fmt.Errorf("cannot add to a %s", p.doc.Kind)
	}
	p.doc = value
	return nil
}

func (p *patcher) replace(path pointer, value *Node) (err error) {
	if value, err = p.copied(value, MaxDepth-len(path)); err != nil {
		return err
	}
	if len(path) == 0 {
		p.doc = value
		return nil
	}
	p.doc, err = path.edit(p.doc, func(parent *Node, last string) (*Node, error) { return parent.replaced(last, value) })
	return err
}

func (p *patcher) remove(path pointer) (err error) {
	if len(path) == 0 {
		return errors.New("the whole document cannot be removed")
	}
	p.doc, err = path.edit(p.doc, (*Node).removed)
	return err
}

func (p *patcher) move(from, to pointer) error {
	value, err := from.find(p.doc)
	if err != nil || slices.Equal(from, to) {
		return err
	}
	if len(to) > len(from) && slices.Equal(to[:len(from)], from) {
		return errors.New("a value cannot be moved into itself")
	}
	if err := p.remove(from); err != nil {
		return err
	}
	return p.add(to, value)
}

// equal compares values as Python does.
func equal(a, b *Node) bool {
	if a.kind() == KindList || a.kind() == KindMap {
		if a.kind() != b.kind() || len(a.items) != len(b.items) || len(a.pairs) != len(b.pairs) {
			return false
		}
		for i := range a.items {
			if !equal(a.items[i], b.items[i]) {
				return false
			}
		}
		return equalPairs(a.pairs, b.pairs)
	}
	return b.kind() != KindList && b.kind() != KindMap && identity(a) != "" && identity(a) == identity(b)
}

func equalPairs(a, b []Pair) bool {
	var d dict
	for _, p := range a {
		d.set(p.Key, p.Value)
	}
	for _, p := range b {
		i, ok := d.index[identity(p.Key)]
		if !ok || !equal(d.pairs[i].Value, p.Value) {
			return false
		}
	}
	return true
}
