package cloudconfig

import (
	"fmt"
	"slices"
)

// Merge merges the later part over into base by cloud-init's default way
// between parts: a later top-level key replaces an earlier one. Neither
// argument changes; a nil base is an empty map.
func Merge(base, over *Node) (*Node, error) { return How{}.Merge(base, over) }

// MergePart merges one part as cloud-init's #cloud-config handler does: the
// part's own merge_how or merge_type, then header (the Merge-Type header,
// may be empty), else the default; the key is taken out of the part
// (cloudinit/handlers/cloud_config.py, 22.4). What is merged next starts from
// the result.
func MergePart(base, part *Node, header string) (*Node, error) {
	how, part, err := takeHow(part)
	if err != nil {
		return nil, err
	}
	more, err := ParseHow(header)
	if err != nil {
		return nil, err
	}
	how.mergers = append(how.mergers, more.mergers...)
	return how.Merge(base, part)
}

// Combine lays whole configurations over each other, the first wins: user
// data, vendor data 2, vendor data, the system's own. Maps are merged key by
// key, everything else is taken whole, unless a configuration has a merge_how
// of its own (cloudinit/util.py mergemanydict, 22.4). Nil and empty ones count
// for nothing.
func Combine(configs ...*Node) (*Node, error) {
	out := NewMap()
	for _, c := range configs {
		if len(c.Pairs()) == 0 {
			continue
		}
		how, c, err := takeHow(c)
		if err != nil {
			return nil, err
		}
		if len(how.mergers) == 0 {
			how = keepFirst()
		}
		if out, err = how.Merge(out, c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Merge merges over into base; neither changes. A nil base is an empty map.
func (h How) Merge(base, over *Node) (*Node, error) {
	if base == nil {
		base = NewMap()
	}
	if len(h.mergers) == 0 {
		h = replaceKeys()
	}
	return h.merge(base, over)
}

// merge asks the first merger for base's type; without one, base stays.
func (h How) merge(base, over *Node) (*Node, error) {
	name := ""
	switch base.kind() {
	case KindMap:
		name = "dict"
	case KindList:
		name = "list"
	case KindString:
		name = "str"
	}
	i := slices.IndexFunc(h.mergers, func(m merger) bool { return m.name == name })
	if name == "" || i < 0 {
		return base, nil
	}
	m := h.mergers[i]
	switch name {
	case "dict":
		return h.mergeMaps(m, base, over)
	case "list":
		return h.mergeLists(m, base, over)
	}
	if m.has("append") {
		if over.kind() != KindString {
			return nil, over.Errorf("cannot append a %s to a string", over.kind())
		}
		return &Node{Kind: KindString, Line: base.Line, Column: base.Column, text: base.text + over.text}, nil
	}
	return over, nil
}

// mergeMaps follows cloudinit/mergers/m_dict.py, 22.4.
func (h How) mergeMaps(m merger, base, over *Node) (*Node, error) {
	if over.kind() != KindMap {
		return base, nil
	}
	var d dict
	for _, p := range base.pairs {
		d.set(p.Key, p.Value)
	}
	gone := map[string]bool{}
	for _, p := range over.pairs {
		i, both := d.index[identity(p.Key)]
		if both && p.Value.IsNull() && m.has("allow_delete") {
			gone[identity(p.Key)] = true
			continue
		}
		value := p.Value
		if both {
			var err error
			if value, err = h.sameKey(m, d.pairs[i].Value, p.Value); err != nil {
				return nil, err
			}
		}
		d.set(p.Key, value)
	}
	out := &Node{Kind: KindMap, Line: base.Line, Column: base.Column}
	for _, p := range d.pairs {
		if !gone[identity(p.Key)] {
			out.pairs = append(out.pairs, p)
		}
	}
	return out, nil
}

func (h How) sameKey(m merger, was, is *Node) (*Node, error) {
	switch {
	case m.has("replace"):
		return is, nil
	case h.recurses(m, is, KindMap):
		return h.merge(was, is)
	}
	return was, nil
}

// recurses tells whether m goes into values of is's kind; always is the kind
// that needs no setting.
func (h How) recurses(m merger, is *Node, always Kind) bool {
	switch is.kind() {
	case KindList:
		return m.has("recurse_array") || m.has("recurse_list")
	case KindString:
		return m.has("recurse_str")
	case KindMap:
		return always == KindMap || m.has("recurse_dict")
	}
	return false
}

// mergeLists follows cloudinit/mergers/m_list.py, 22.4.
func (h How) mergeLists(m merger, base, over *Node) (*Node, error) {
	way := m.first("append", "prepend", "replace", "no_replace")
	if over.kind() != KindList && (way == "" || way == "replace") {
		return over, nil
	}
	more, err := over.sequence()
	if err != nil {
		return nil, err
	}
	out := &Node{Kind: KindList, Line: base.Line, Column: base.Column}
	switch way {
	case "append":
		out.items = slices.Concat(base.items, more)
		return out, out.checkLength()
	case "prepend":
		out.items = slices.Concat(more, base.items)
		return out, out.checkLength()
	case "no_replace":
		if over.kind() == KindMap && len(base.items) > 0 && len(more) > 0 {
			return nil, over.Errorf("cannot merge a map into a list by index")
		}
		return base, nil
	}
	out.items = slices.Clone(base.items)
	for i := range min(len(base.items), len(over.items)) {
		out.items[i] = over.items[i]
		if !h.recurses(m, over.items[i], KindNull) {
			continue
		}
		var err error
		if out.items[i], err = h.merge(base.items[i], over.items[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// sequence is what Python goes through: the items of a list, the characters
// of a text, the bytes of a binary, the keys of a map.
func (n *Node) sequence() ([]*Node, error) {
	var out []*Node
	switch n.kind() {
	case KindList:
		return n.items, nil
	case KindString:
		for _, r := range n.text {
			out = append(out, &Node{Kind: KindString, Line: n.Line, Column: n.Column, text: string(r)})
		}
	case KindBinary:
		for _, b := range []byte(n.text) {
			out = append(out, &Node{Kind: KindInt, Line: n.Line, Column: n.Column, integer: int64(b)})
		}
	case KindMap:
		for _, p := range n.pairs {
			out = append(out, p.Key)
		}
	default:
		return nil, n.Errorf("cannot merge a %s into a list", n.kind())
	}
	return out, nil
}

func (n *Node) checkLength() error {
	if len(n.items) > MaxNodes {
		return fmt.Errorf("a merged list of more than %d items", MaxNodes)
	}
	return nil
}
