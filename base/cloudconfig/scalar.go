package cloudconfig

import (
	"errors"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// How PyYAML recognises plain scalars, in its order (yaml/resolver.py, 6.0).
// Quoted and block scalars are text.
var implicit = []struct {
	tag   string
	first string // the characters a value may begin with
	match *regexp.Regexp
}{
	{"!!bool", "yYnNtTfFoO", regexp.MustCompile(`^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$`)},
	{"!!float", "-+0123456789.", regexp.MustCompile(`^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?` +
		`|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?` +
		`|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*` +
		`|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)},
	{"!!int", "-+0123456789", regexp.MustCompile(`^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)` +
		`|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$`)},
	{"!!merge", "<", regexp.MustCompile(`^<<$`)},
	{"!!null", "~nN", regexp.MustCompile(`^(?:~|null|Null|NULL)$`)},
	{"!!timestamp", "0123456789", regexp.MustCompile(`^(?:[0-9]{4}-[0-9]{2}-[0-9]{2}` +
		`|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?` +
		`(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?)$`)},
	{"!!value", "=", regexp.MustCompile(`^=$`)},
}

const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

// tagOf is the tag of a node as PyYAML gives it. The library's own guess at
// plain scalars is not looked at.
func tagOf(y *yaml.Node) string {
	switch {
	case y.Style&yaml.TaggedStyle != 0:
		return y.Tag
	case y.Kind == yaml.SequenceNode:
		return "!!seq"
	case y.Kind == yaml.MappingNode:
		return "!!map"
	case y.Kind != yaml.ScalarNode:
		return ""
	case y.Style&quoted != 0 && y.Tag != "!": // "!" asks for a guess at quoted text too
		return "!!str"
	}
	return implicitTag(y.Value)
}

func implicitTag(value string) string {
	if value == "" {
		return "!!null"
	}
	for _, i := range implicit {
		if strings.IndexByte(i.first, value[0]) >= 0 && i.match.MatchString(value) {
			return i.tag
		}
	}
	return "!!str"
}

// scalar fills n with what tag makes of text.
func (n *Node) scalar(tag, text string) (err error) {
	switch tag {
	case "!!null":
		n.Kind = KindNull
	case "!!bool":
		n.Kind = KindBool
		n.boolean, err = boolWord(text)
	case "!!int":
		n.Kind = KindInt
		n.big, err = parseInt(text)
		if err == nil && n.big.IsInt64() {
			n.integer, n.big = n.big.Int64(), nil
		}
	case "!!float":
		n.Kind = KindFloat
		n.float, err = parseFloat(text)
	case "!!timestamp":
		n.Kind = KindTime
		n.time, n.written, err = parseTime(text)
	case "!!binary":
		var data []byte
		n.Kind = KindBinary
		if data, err = DecodeBase64(text); strings.ContainsFunc(text, func(r rune) bool { return r > 0x7f }) {
			err = errors.New("base64 text that is not ASCII")
		}
		n.text = string(data)
	case "!!str":
		n.Kind, n.text = KindString, text
	default:
		return noConstructor(n, tag)
	}
	if err != nil {
		return n.Errorf("%v", err)
	}
	return nil
}

func noConstructor(n *Node, tag string) error {
	return n.Errorf("could not determine a constructor for the tag %q", tag)
}
