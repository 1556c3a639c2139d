package cloudconfig

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// The library refuses some text that PyYAML reads. Here it is brought into a
// form that both read alike, with every position kept.

// directives makes comments of what stands before the document and says
// nothing there: "%YAML 1.2" and unknown directives. It changes data.
func directives(data []byte) {
	var idle [][]byte
	for rest := bytes.TrimPrefix(data, []byte("\ufeff")); len(rest) > 0; {
		line, next, _ := bytes.Cut(rest, []byte("\n"))
		switch text := bytes.TrimSpace(line); {
		case len(text) == 0, text[0] == '#', bytes.HasPrefix(line, []byte("%TAG")):
		case bytes.HasPrefix(line, []byte("%YAML ")) && !bytes.HasPrefix(line, []byte("%YAML 1.")):
		case line[0] == '%':
			idle = append(idle, line)
		case bytes.HasPrefix(line, []byte("---")):
			for _, l := range idle {
				l[0] = '#'
			}
			return
		default:
			return
		}
		rest = next
	}
}

// maxDashes bounds how often a text is parsed again, and maxDashText which.
const (
	maxDashes   = 64
	maxDashText = 1 << 20
)

// standIn takes the place of a dash while the library parses.
const standIn = "\ue000"

type position struct{ line, column int }

// dashes are the scalars "-" of flow lists and maps, as in [cat, -], that the
// library does not know.
type dashes map[position]bool

// replace puts a stand-in for the dash that err is about, if it is about one.
func (d dashes) replace(data []byte, err error) ([]byte, bool) {
	le, ok := errors.AsType[*yaml.LoadError](err)
	if !ok || len(d) >= maxDashes || len(data) > maxDashText {
		return data, false
	}
	i, ok := offset(data, le.Mark.Index)
	if !ok || i+1 >= len(data) || data[i] != '-' || bytes.IndexByte([]byte(",]}"), data[i+1]) < 0 {
		return data, false
	}
	d[position{le.Mark.Line, le.Mark.Column}] = true
	return bytes.Join([][]byte{data[:i], data[i+1:]}, []byte(standIn)), true
}

// restore turns the stand-ins below y into dashes.
func (d dashes) restore(y *yaml.Node) {
	if y.Value == standIn && d[position{y.Line, y.Column}] {
		y.Value = "-"
	}
	for _, c := range y.Content {
		d.restore(c)
	}
}

// offset is where character number n begins.
func offset(data []byte, n int) (int, bool) {
	i := 0
	for ; n > 0; n-- {
		if i >= len(data) {
			return 0, false
		}
		_, size := utf8.DecodeRune(data[i:])
		i += size
	}
	return i, true
}

// checkBegin refuses a document end where none has begun.
func checkBegin(data []byte) error {
	n := 0
	for line := range bytes.Lines(bytes.TrimPrefix(data, []byte("\ufeff"))) {
		n++
		text := bytes.TrimSpace(line)
		switch {
		case len(text) == 0, text[0] == '#', line[0] == '%':
		case documentMark(line, "..."):
			return &Error{n, 1, "expected the node content, but found a document end"}
		default:
			return nil
		}
	}
	return nil
}

func documentMark(line []byte, mark string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(mark))
	return ok && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0)
}

// checkRoot refuses a document that is a block scalar of lines that are not
// indented.
func checkRoot(doc *yaml.Node, data []byte) error {
	root := doc
	if doc.Kind == yaml.DocumentNode {
		root = doc.Content[0]
	}
	if root.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
		return nil
	}
	n := 0
	for line := range bytes.Lines(data) {
		if n++; n <= root.Line || len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if line[0] != ' ' {
			return &Error{n, 1, "expected a new document, but found text"}
		}
		return nil
	}
	return nil
}

// checkAnchors refuses an anchor that is defined twice (yaml/composer.py
// compose_node, 6.0).
func checkAnchors(y *yaml.Node, seen map[string]bool) error {
	if y.Anchor != "" {
		if seen[y.Anchor] {
			return at(y).Errorf("found duplicate anchor %q", y.Anchor)
		}
		seen[y.Anchor] = true
	}
	for _, c := range y.Content {
		if err := checkAnchors(c, seen); err != nil {
			return err
		}
	}
	return nil
}
