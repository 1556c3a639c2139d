package cloudconfig

import (
	"slices"

	"go.yaml.in/yaml/v4"
)

type yamlPair struct{ key, value *yaml.Node }

// flatten lists the pairs of a map with its merge keys ("<<") replaced by what
// they merge, which comes first so that the map's own keys win; of a list of
// maps the first wins (yaml/constructor.py flatten_mapping, 6.0).
func (b *builder) flatten(y *yaml.Node) ([]yamlPair, error) {
	pairs, ok := b.flat[y]
	if pairs != nil {
		return pairs, nil
	}
	if ok {
		return nil, at(y).Errorf("a map that merges itself")
	}
	b.flat[y] = nil
	own := []yamlPair{}
	var merged []yamlPair
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		if tagOf(key) != "!!merge" {
			own = append(own, yamlPair{key, value})
			continue
		}
		more, err := b.merge(value)
		if err != nil {
			return nil, err
		}
		merged = append(merged, more...)
	}
	pairs = append(merged, own...)
	b.flat[y] = pairs
	return pairs, nil
}

// merge lists what the value of a merge key brings.
func (b *builder) merge(y *yaml.Node) ([]yamlPair, error) {
	y = target(y)
	sources := []*yaml.Node{y}
	if y.Kind == yaml.SequenceNode {
		sources = slices.Clone(y.Content)
		slices.Reverse(sources)
	}
	var out []yamlPair
	for _, s := range sources {
		s = target(s)
		if s.Kind != yaml.MappingNode {
			return nil, at(s).Errorf("expected a map or list of maps for merging")
		}
		pairs, err := b.flatten(s)
		if err != nil {
			return nil, err
		}
		if b.merged += len(pairs); b.merged > MaxNodes {
			return nil, at(s).Errorf("more than %d merged values", MaxNodes)
		}
		out = append(out, pairs...)
	}
	return out, nil
}

func target(y *yaml.Node) *yaml.Node {
	for y.Kind == yaml.AliasNode {
		y = y.Alias
	}
	return y
}
