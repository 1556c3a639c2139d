package userdata

import (
	"encoding/base64"
	"math/big"
	"regexp"
	"slices"
	"strings"

	"imprint/base/cloudconfig"
	"imprint/base/jinja"
)

// Variables are what templates see of instance-data.json: its keys in order,
// those of v1 at the top too, values that base64-encoded-keys names decoded,
// and beside every key with operators in its name one with underscores
// (cloudinit/handlers/jinja_template.py convert_jinja_instance_data, 22.4).
// Each call makes new values, which a template may change; departure: one that
// has several names is the same by each, and no copy.
func Variables(instanceData *cloudconfig.Node) *jinja.Dict {
	c := converter{encoded: map[string]bool{}}
	for _, path := range instanceData.Get("base64-encoded-keys").Items() {
		c.encoded[strings.ReplaceAll(path.String(), "-", "_")] = true
	}
	return c.dict(instanceData, "")
}

// converter makes template values of nodes.
type converter struct{ encoded map[string]bool }

var (
	version  = regexp.MustCompile(`^v\d+$`)
	operator = regexp.MustCompile(`//|\*\*|==|!=|>=|<=|[-+/*%~\[\](){}><=.:|,;]`)
)

func (c converter) dict(n *cloudconfig.Node, prefix string) *jinja.Dict {
	out := &jinja.Dict{}
	pairs := slices.Clone(n.Pairs())
	slices.SortStableFunc(pairs, func(a, b cloudconfig.Pair) int { return strings.Compare(a.Key.String(), b.Key.String()) })
	for _, p := range pairs {
		key := p.Key.String()
		path := strings.TrimPrefix(prefix+"/"+key, "/")
		value := c.value(p.Value, path)
		out.Set(key, value)
		if of, ok := value.(*jinja.Dict); ok && version.MatchString(key) {
			for _, sub := range of.Keys() {
				v, _ := of.Get(sub)
				out.Set(sub, v)
			}
		}
		if alias := operator.ReplaceAllString(key, "_"); alias != key {
			out.Set(alias, value)
		}
	}
	return out
}

// value converts a value; a path makes known whether it is encoded. Maps
// within lists stay as they are.
func (c converter) value(n *cloudconfig.Node, path string) any {
	if n != nil && n.Kind == cloudconfig.KindMap {
		return c.dict(n, path)
	}
	if c.encoded[path] {
		if data, err := cloudconfig.DecodeBase64(n.String()); err == nil {
			return strings.ToValidUTF8(string(data), "\ufffd")
		}
	}
	return plain(n)
}

// plain converts a value as it is.
func plain(n *cloudconfig.Node) any {
	switch {
	case n.IsNull():
		return nil
	case n.Kind == cloudconfig.KindBool:
		b, _ := n.AsBool()
		return b
	case n.Kind == cloudconfig.KindInt:
		i, _ := new(big.Int).SetString(n.String(), 10)
		return i
	case n.Kind == cloudconfig.KindFloat:
		f, _ := n.AsFloat()
		return f
	case n.Kind == cloudconfig.KindList:
		list := &jinja.List{}
		for _, item := range n.Items() {
			list.Items = append(list.Items, plain(item))
		}
		return list
	case n.Kind == cloudconfig.KindMap:
		d := &jinja.Dict{}
		for _, p := range n.Pairs() {
			d.Set(p.Key.String(), plain(p.Value))
		}
		return d
	case n.Kind == cloudconfig.KindBinary:
		return base64.StdEncoding.EncodeToString([]byte(n.String()))
	}
	return n.String()
}
