package cloudconfig

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// How is a way of merging two documents: cloud-init's mergers with their
// settings ("list(append)+dict(recurse_list)+str()"). The zero value is
// cloud-init's default between parts, dict(replace)+list()+str()
// (cloudinit/handlers/cloud_config.py DEF_MERGERS, 22.4).
type How struct{ mergers []merger }

// merger handles one type: dict, list or str.
type merger struct {
	name     string
	settings []string
}

func (m merger) has(setting string) bool { return slices.Contains(m.settings, setting) }

// first is the first of settings that m has, or "".
func (m merger) first(settings ...string) string {
	for _, s := range settings {
		if m.has(s) {
			return s
		}
	}
	return ""
}

func replaceKeys() How {
	return How{[]merger{{"dict", []string{"replace"}}, {"list", nil}, {"str", nil}}}
}

// keepFirst is cloudinit/mergers/__init__.py DEF_MERGE_TYPE, 22.4.
func keepFirst() How { return How{[]merger{{"list", nil}, {"dict", nil}, {"str", nil}}} }

var mergerText = regexp.MustCompile(`^([a-z_][a-z0-9_]*)\((.*?)\)$`)

// ParseHow reads the text of merge_how or of a Merge-Type header. The empty
// text is the default.
func ParseHow(text string) (How, error) {
	var h How
	for part := range strings.SplitSeq(text, "+") {
		part = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(part)), "-", "_")
		if part == "" {
			continue
		}
		m := mergerText.FindStringSubmatch(part)
		if m == nil {
			return How{}, fmt.Errorf("merger %q is not in the form name(settings)", part)
		}
		if err := h.add(m[1], strings.Split(m[2], ",")); err != nil {
			return How{}, err
		}
	}
	return h, nil
}

func (h *How) add(name string, settings []string) error {
	name = strings.TrimPrefix(name, "m_")
	if !slices.Contains([]string{"dict", "list", "str"}, name) {
		return fmt.Errorf("unknown merger %q", name)
	}
	m := merger{name: name}
	for _, s := range settings {
		m.settings = append(m.settings, strings.TrimSpace(s))
	}
	h.mergers = append(h.mergers, m)
	return nil
}

// takeHow reads merge_how, else merge_type, and returns the document without
// the key that it read (cloudinit/mergers/__init__.py dict_extract_mergers,
// 22.4).
func takeHow(doc *Node) (How, *Node, error) {
	for _, key := range []string{"merge_how", "merge_type"} {
		n := doc.Get(key)
		if n != nil {
			doc = doc.Without(key)
		}
		if n.IsNull() {
			continue
		}
		h, err := nodeHow(n)
		if err != nil {
			err = n.Errorf("%s: %v", key, err)
		}
		return h, doc, err
	}
	return How{}, doc, nil
}

// nodeHow reads the text form, or a list of {name, settings} or [name, setting…].
func nodeHow(n *Node) (How, error) {
	if n.Kind == KindString {
		return ParseHow(n.text)
	}
	var h How
	if n.Kind != KindList {
		return h, fmt.Errorf("want a string or a list, have a %s", n.Kind)
	}
	for _, item := range n.items {
		words, err := item.AsStrings()
		if item.kind() == KindMap {
			words, err = mapHow(item)
		}
		if err != nil {
			return h, err
		}
		if len(words) == 0 {
			return h, item.Errorf("a merger without name")
		}
		name := strings.TrimSpace(strings.ReplaceAll(words[0], "-", "_"))
		if err := h.add(name, words[1:]); err != nil {
			return h, err
		}
	}
	return h, nil
}

func mapHow(item *Node) ([]string, error) {
	name, err := item.Text("name")
	if err != nil {
		return nil, err
	}
	settings, err := item.Strings("settings")
	return append([]string{name}, settings...), err
}
