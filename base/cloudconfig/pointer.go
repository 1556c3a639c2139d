package cloudconfig

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// pointer is a JSON pointer taken apart (RFC 6901); empty for the whole
// document.
type pointer []string

func parsePointer(text string) (pointer, error) {
	if text == "" {
		return nil, nil
	}
	if text[0] != '/' {
		return nil, fmt.Errorf("pointer %.80q does not begin with /", text)
	}
	parts := strings.Split(text[1:], "/")
	if len(parts) >= MaxDepth {
		return nil, fmt.Errorf("pointer %.80q of more than %d levels", text, MaxDepth)
	}
	for i, p := range parts {
		plain := strings.NewReplacer("~0", "", "~1", "").Replace(p)
		if strings.Contains(plain, "~") {
			return nil, fmt.Errorf("pointer %.80q has a wrong escape", text)
		}
		parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(p)
	}
	return parts, nil
}

// arrayIndex may begin with zeros, which jsonpointer lets pass.
var arrayIndex = regexp.MustCompile(`^[0-9]{1,9}$`)

// find is what p points at below n.
func (p pointer) find(n *Node) (*Node, error) {
	for _, part := range p {
		var err error
		if n, err = n.step(part); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// step goes one level down.
func (n *Node) step(part string) (*Node, error) {
	switch n.kind() {
	case KindMap:
		if v := n.child(part); v != nil {
			return v, nil
		}
		return nil, fmt.Errorf("no member %.80q", part)
	case KindList:
		i, err := n.position(part, len(n.items)-1)
		if err != nil {
			return nil, err
		}
		return n.items[i], nil
	}
	return nil, fmt.Errorf("%.80q below a %s", part, n.kind())
}

// position reads an index of a list, which may be at most last.
func (n *Node) position(part string, last int) (int, error) {
	if !arrayIndex.MatchString(part) {
		return 0, fmt.Errorf("%.80q is no index of a list", part)
	}
	i, err := strconv.Atoi(part)
	if err != nil || i > last {
		return 0, fmt.Errorf("index %s is outside of a list of %d", part, len(n.items))
	}
	return i, nil
}

// edit returns a copy of n in which the map or list that holds p's end is
// what change makes of it and of p's last part.
func (p pointer) edit(n *Node, change func(parent *Node, last string) (*Node, error)) (*Node, error) {
	if len(p) == 1 {
		return change(n, p[0])
	}
	child, err := n.step(p[0])
	if err != nil {
		return nil, err
	}
	if child, err = p[1:].edit(child, change); err != nil {
		return nil, err
	}
	return n.replaced(p[0], child)
}

// added is a copy of n with one more member: a list's is inserted.
func (n *Node) added(part string, value *Node) (*Node, error) {
	if n.kind() != KindList {
		if n.kind() != KindMap {
			return nil, fmt.Errorf("%.80q below a %s", part, n.kind())
		}
		return n.With(part, value), nil
	}
	i, err := len(n.items), error(nil)
	if part != "-" {
		i, err = n.position(part, len(n.items))
	}
	if err != nil {
		return nil, err
	}
	out := &Node{Kind: KindList, Line: n.Line, Column: n.Column, items: slices.Insert(slices.Clone(n.items), i, value)}
	return out, out.checkLength()
}

// replaced is a copy of n with another value for a member that it has.
func (n *Node) replaced(part string, value *Node) (*Node, error) {
	if _, err := n.step(part); err != nil {
		return nil, err
	}
	if n.Kind == KindMap {
		return n.With(part, value), nil
	}
	out := &Node{Kind: KindList, Line: n.Line, Column: n.Column, items: slices.Clone(n.items)}
	i, err := n.position(part, len(n.items)-1)
	if err == nil {
		out.items[i] = value
	}
	return out, err
}

// removed is a copy of n without a member that it has.
func (n *Node) removed(part string) (*Node, error) {
	if _, err := n.step(part); err != nil {
		return nil, err
	}
	if n.Kind == KindMap {
		return n.Without(part), nil
	}
	i, err := n.position(part, len(n.items)-1)
	if err != nil {
		return nil, err
	}
	return &Node{Kind: KindList, Line: n.Line, Column: n.Column, items: slices.Delete(slices.Clone(n.items), i, i+1)}, nil
}
