package store

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
)

// fieldSet has the JSON names of a struct with their types.
type fieldSet map[string]reflect.Type

// unknown returns the members of fields that t does not have, as an object;
// nil when there are none. Objects within are looked into, lists are not.
func (c *codec) unknown(t reflect.Type, fields object) (json.RawMessage, error) {
	known := c.fieldsOf(t)
	rest := object{}
	for name, value := range fields {
		inner, ok := known[name]
		if !ok {
			rest[name] = value
			continue
		}
		if nested := asObject(inner, value); nested != nil {
			extra, err := c.unknown(inner, nested)
			if err != nil {
				return nil, err
			}
			if extra != nil {
				rest[name] = extra
			}
		}
	}
	if len(rest) == 0 {
		return nil, nil
	}
	return json.Marshal(rest)
}

// merge adds what unknown returned for an earlier version to fields.
func (c *codec) merge(t reflect.Type, fields object, extra json.RawMessage) error {
	var rest object
	if err := json.Unmarshal(extra, &rest); err != nil {
		return err
	}
	known := c.fieldsOf(t)
	for name, value := range rest {
		inner, ok := known[name]
		if !ok {
			fields[name] = value
			continue
		}
		nested := asObject(inner, fields[name])
		if nested == nil {
			continue
		}
		if err := c.merge(inner, nested, value); err != nil {
			return err
		}
		merged, err := json.Marshal(nested)
		if err != nil {
			return err
		}
		fields[name] = merged
	}
	return nil
}

// asObject returns the members of value when t is a struct that JSON writes as
// an object and value is one; else nil.
func asObject(t reflect.Type, value json.RawMessage) object {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || hasOwnForm(t) {
		return nil
	}
	var fields object
	if json.Unmarshal(value, &fields) != nil {
		return nil
	}
	return fields
}

func hasOwnForm(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

func (c *codec) fieldsOf(t reflect.Type) fieldSet {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	set, ok := c.fields[t]
	if !ok {
		set = fieldSet{}
		set.add(t)
		c.fields[t] = set
	}
	return set
}

func (s fieldSet) add(t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "" && f.Anonymous:
			s.add(f.Type)
		case name == "":
			s[f.Name] = f.Type
		case name != "-":
			s[name] = f.Type
		}
	}
}
