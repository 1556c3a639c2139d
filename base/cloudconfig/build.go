package cloudconfig

import "go.yaml.in/yaml/v4"

// builder makes nodes of the library's. Each is made once, so that the memory
// follows the text and not what its aliases expand to; what they expand to is
// counted all the same, for whoever walks the result.
type builder struct {
	done   map[*yaml.Node]*built
	flat   map[*yaml.Node][]yamlPair // maps without their merge keys; nil in progress
	merged int                       // pairs that merge keys made
}

// built is a finished node and what it costs to walk.
type built struct {
	node                *Node
	nodes, bytes, depth int
}

func (b *builder) build(y *yaml.Node) (*built, error) {
	switch y.Kind {
	case yaml.DocumentNode:
		return b.build(y.Content[0])
	case yaml.AliasNode:
		return b.build(y.Alias)
	}
	made, ok := b.done[y]
	if made != nil {
		return made, nil
	}
	if ok {
		return nil, at(y).Errorf("found unconstructable recursive node")
	}
	b.done[y] = nil
	made = &built{node: at(y), nodes: 1, depth: 1}
	if err := b.fill(made, y); err != nil {
		return nil, err
	}
	if made.depth > MaxDepth {
		return nil, at(y).Errorf("more than %d levels", MaxDepth)
	}
	b.done[y] = made
	return made, nil
}

// at is an empty node at y's position.
func at(y *yaml.Node) *Node { return &Node{Line: y.Line, Column: y.Column} }

func (b *builder) fill(m *built, y *yaml.Node) error {
	tag := tagOf(y)
	switch y.Kind {
	case yaml.ScalarNode:
		if err := m.node.scalar(tag, y.Value); err != nil {
			return err
		}
		m.bytes += len(y.Value)
		return nil
	case yaml.SequenceNode:
		return b.sequence(m, y, tag)
	}
	return b.mapping(m, y, tag)
}

func (b *builder) sequence(m *built, y *yaml.Node, tag string) error {
	if tag != "!!seq" && tag != "!!omap" && tag != "!!pairs" {
		return noConstructor(m.node, tag)
	}
	m.node.Kind = KindList
	for _, c := range y.Content {
		item, err := b.build(c)
		if err == nil && tag != "!!seq" {
			item, err = single(item)
		}
		if err != nil {
			return err
		}
		if err := m.add(item); err != nil {
			return err
		}
		m.node.items = append(m.node.items, item.node)
	}
	return nil
}

// single makes a list of key and value of a map with one entry, as !!omap and
// !!pairs hold it.
func single(m *built) (*built, error) {
	if len(m.node.pairs) != 1 {
		return nil, m.node.Errorf("expected a map of length 1, but found %s", m.node.Kind)
	}
	p := m.node.pairs[0]
	out := *m
	out.node = &Node{Kind: KindList, Line: m.node.Line, Column: m.node.Column, items: []*Node{p.Key, p.Value}}
	return &out, nil
}

func (b *builder) mapping(m *built, y *yaml.Node, tag string) error {
	if tag != "!!map" && tag != "!!set" {
		return noConstructor(m.node, tag)
	}
	pairs, err := b.flatten(y)
	if err != nil {
		return err
	}
	var d dict
	for _, p := range pairs {
		key, err := b.key(p.key)
		if err != nil {
			return err
		}
		value, err := b.build(p.value)
		if err != nil {
			return err
		}
		if err := m.add(key, value); err != nil {
			return err
		}
		d.set(key.node, value.node)
	}
	m.node.Kind, m.node.pairs = KindMap, d.pairs
	if tag == "!!set" {
		m.node.Kind, m.node.pairs = KindList, nil
		for _, p := range d.pairs {
			m.node.items = append(m.node.items, p.Key)
		}
	}
	return nil
}

// key builds a map's key. There "=" is text.
func (b *builder) key(y *yaml.Node) (*built, error) {
	y = target(y)
	if tagOf(y) == "!!value" {
		n := at(y)
		n.Kind, n.text = KindString, y.Value
		return &built{node: n, nodes: 1, bytes: len(y.Value), depth: 1}, nil
	}
	key, err := b.build(y)
	if err != nil {
		return nil, err
	}
	if key.node.Kind == KindList || key.node.Kind == KindMap {
		return nil, key.node.Errorf("found unhashable key: a %s", key.node.Kind)
	}
	return key, nil
}

// add counts children.
func (m *built) add(children ...*built) error {
	for _, c := range children {
		m.nodes += c.nodes
		m.bytes += c.bytes
		m.depth = max(m.depth, c.depth+1)
	}
	if m.nodes > MaxNodes {
		return m.node.Errorf("more than %d values", MaxNodes)
	}
	if m.bytes > MaxBytes {
		return m.node.Errorf("more than %d bytes of values", MaxBytes)
	}
	return nil
}
