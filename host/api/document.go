package api

import (
	"bytes"
	"slices"
)

// Document is a JSON object that keeps the order of its fields and can be
// filtered by their names.
type Document []Field

// Field is one member of a [Document].
type Field struct {
	Name  string
	Value any
}

// MarshalJSON encodes the fields in their order.
func (d Document) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range d {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := encode(f.Name)
		if err != nil {
			return nil, err
		}
		value, err := encode(f.Value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// Get returns the value of a field and whether there is one.
func (d Document) Get(name string) (any, bool) {
	for _, f := range d {
		if f.Name == name {
			return f.Value, true
		}
	}
	return nil, false
}

// Only returns the fields whose names are listed, in the document's order.
func (d Document) Only(names ...string) Document {
	return d.keep(func(n string) bool { return slices.Contains(names, n) })
}

// Without returns the fields whose names are not listed.
func (d Document) Without(names ...string) Document {
	return d.keep(func(n string) bool { return !slices.Contains(names, n) })
}

func (d Document) keep(want func(string) bool) Document {
	out := make(Document, 0, len(d))
	for _, f := range d {
		if want(f.Name) {
			out = append(out, f)
		}
	}
	return out
}
