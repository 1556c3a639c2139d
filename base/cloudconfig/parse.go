package cloudconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// Limits of one document. PyYAML has none but the recursion limit of Python;
// these are far above what a configuration needs.
const (
	MaxSize  = 4 << 20  // bytes of text
	MaxDepth = 100      // nested lists and maps
	MaxNodes = 500_000  // values, aliases counted as often as they are used
	MaxBytes = 16 << 20 // bytes of scalars, counted likewise
)

// Error is a fault at a position of a document.
type Error struct {
	Line, Column int // from 1; 0 when unknown
	Text         string
}

// Error names the position, if it is known, and the fault.
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Text
	}
	return fmt.Sprintf("line %d column %d: %s", e.Line, e.Column, e.Text)
}

// Parse reads one YAML document as PyYAML's SafeLoader would. An empty
// document is a null node. Errors are [*Error]. Departures: a value that
// contains itself is refused (PyYAML makes a recursive one), as is what
// exceeds the limits above.
func Parse(data []byte) (*Node, error) {
	if err := checkText(data); err != nil {
		return nil, err
	}
	doc, err := load(data)
	if err != nil || doc == nil {
		return &Node{Line: 1, Column: 1}, err
	}
	b := builder{done: map[*yaml.Node]*built{}, flat: map[*yaml.Node][]yamlPair{}}
	root, err := b.build(doc)
	if err != nil {
		return nil, err
	}
	return root.node, nil
}

// ParseMap is [Parse] for a document that must be a map, as a #cloud-config
// must; an empty document is an error too.
func ParseMap(data []byte) (*Node, error) {
	n, err := Parse(data)
	switch {
	case err != nil:
		return nil, err
	case n.Kind == KindNull:
		return nil, n.Errorf("empty cloud config")
	case n.Kind != KindMap:
		return nil, n.Errorf("want a map at the top, have a %s", n.Kind)
	}
	return n, nil
}

// checkText refuses what PyYAML's reader refuses: bytes that are no UTF-8,
// and characters that do not print (yaml/reader.py NON_PRINTABLE, 6.0).
func checkText(data []byte) error {
	if len(data) > MaxSize {
		return &Error{Text: fmt.Sprintf("document of %d bytes, the limit is %d", len(data), MaxSize)}
	}
	line, column := 1, 1
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && size == 1:
			return &Error{line, column, "not UTF-8"}
		case !printable(r):
			return &Error{line, column, fmt.Sprintf("special character %#U is not allowed", r)}
		}
		data = data[size:]
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
	}
	return nil
}

func printable(r rune) bool {
	switch {
	case r == '\t', r == '\n', r == '\r', r == 0x85:
		return true
	case r < 0x20, r > 0x7e && r < 0xa0, r == 0xfffe, r == 0xffff:
		return false
	}
	return true
}

// load parses the only document of data; nil when there is none.
func load(data []byte) (*yaml.Node, error) {
	if err := checkBegin(data); err != nil {
		return nil, err
	}
	data = bytes.Clone(data)
	directives(data)
	lost := dashes{}
	for {
		doc, err := loadOnce(data)
		if err == nil {
			if doc != nil {
				lost.restore(doc)
				if err = checkRoot(doc, data); err == nil {
					err = checkAnchors(doc, map[string]bool{})
				}
			}
			return doc, err
		}
		again := false
		if data, again = lost.replace(data, err); !again {
			return nil, syntaxError(err)
		}
	}
}

func loadOnce(data []byte) (doc *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil { // the library's internal errors
			doc, err = nil, fmt.Errorf("%v", r)
		}
	}()
	limits := loaderlimits.New(loaderlimits.DepthValue(MaxDepth))
	l, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithPlugin(limits))
	if err != nil {
		return nil, err
	}
	var first, second yaml.Node
	if err := l.Load(&first); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	switch err := l.Load(&second); {
	case err == nil:
		return nil, &Error{second.Line, second.Column, "expected a single document, but found another document"}
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	return &first, nil
}

// syntaxError gives the place where the construct began, as cloud-init does
// (cloudinit/util.py load_yaml, 22.4).
func syntaxError(err error) error {
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	le, ok := errors.AsType[*yaml.LoadError](err)
	switch {
	case !ok:
		return &Error{Text: err.Error()}
	case le.ContextMark.Line > 0:
		return &Error{le.ContextMark.Line, le.ContextMark.Column, le.ContextMsg + ": " + le.Message}
	}
	return &Error{le.Mark.Line, le.Mark.Column, le.Message}
}
