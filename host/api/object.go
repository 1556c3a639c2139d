package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"imprint/host/cloud"
)

// Object reads a JSON object of a request field by field. Its methods return
// zero values for what is absent or null and remember the first thing that is
// wrong; [Object.Err] tells it, and names every field that nobody asked for.
// An object is used by one goroutine.
type Object struct {
	members map[string]any
	read    map[string]bool
	path    string
	d       *decoding
}

// decoding is what an object and those inside it share.
type decoding struct {
	invalid func(field, reason string) string
	err     error
	objects []*Object
}

// Object decodes the body, an object whose only member is envelope, or with an
// empty envelope the body itself.
func (r *Request) Object(envelope string) (*Object, error) {
	root, err := r.root()
	if err != nil || envelope == "" {
		return root, err
	}
	o := root.Object(envelope)
	if !root.Has(envelope) {
		root.fail(envelope, "It is required.")
	}
	return o, root.d.err
}

// List decodes the body, a list of at most max objects.
func (r *Request) List(max int) ([]*Object, error) {
	var items []any
	if err := r.decode(&items); err != nil {
		return nil, err
	}
	d := &decoding{invalid: r.service.options.Dialect.Invalid}
	list := d.object(map[string]any{"body": items}, "")
	return list.Objects("body", max), d.err
}

func (r *Request) root() (*Object, error) {
	var members map[string]any
	if err := r.decode(&members); err != nil {
		return nil, err
	}
	if members == nil {
		return nil, cloud.Errorf(cloud.Invalid, "Malformed request body: it must be a JSON object.")
	}
	d := &decoding{invalid: r.service.options.Dialect.Invalid}
	return d.object(members, ""), nil
}

// decode reads one JSON value and nothing after it.
func (r *Request) decode(v any) error {
	dec := json.NewDecoder(r.Body)
	dec.UseNumber()
	if err := dec.Decode(v); err != nil {
		return bodyError(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return cloud.Errorf(cloud.Invalid, "Malformed request body: there is text after the JSON value.")
	}
	return nil
}

func bodyError(err error) error {
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return cloud.Errorf(cloud.TooLarge, "Request is too large: more than %d bytes.", tooLarge.Limit)
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return cloud.Errorf(cloud.Invalid, "Malformed request body: invalid JSON at byte %d.", syntax.Offset)
	}
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return cloud.Errorf(cloud.Invalid, "Malformed request body: it is not the JSON value that is wanted here.")
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return cloud.Errorf(cloud.Invalid, "Malformed request body: it is empty or ends too early.")
	}
	return &StatusError{Status: http.StatusBadRequest, Text: "The request body could not be read."}
}

func (d *decoding) object(members map[string]any, path string) *Object {
	o := &Object{members: members, read: map[string]bool{}, path: path, d: d}
	d.objects = append(d.objects, o)
	return o
}

// Err returns the first error, or one that names a field that was not read.
func (o *Object) Err() error {
	if o.d.err != nil {
		return o.d.err
	}
	for _, part := range o.d.objects {
		for _, name := range part.Names() {
			if !part.read[name] {
				part.fail(name, "Additional properties are not allowed.")
				return o.d.err
			}
		}
	}
	return nil
}

// Fail says that a field breaks a rule.
func (o *Object) Fail(name, format string, args ...any) { o.fail(name, fmt.Sprintf(format, args...)) }

func (o *Object) fail(name, reason string) {
	if o.d.err != nil {
		return
	}
	field := printable(name)
	if o.path != "" {
		field = o.path + "." + field
	}
	o.d.err = cloud.Errorf(cloud.Invalid, "%s", o.d.invalid(field, reason))
}

// printable makes a field's name of the client's fit for a message.
func printable(name string) string {
	name = strings.ToValidUTF8(name, "?")
	if len(name) > 64 {
		name = strings.ToValidUTF8(name[:64], "") + "..."
	}
	return strings.Map(func(r rune) rune {
		if !isLine(r) {
			return '?'
		}
		return r
	}, name)
}

// Names returns the names of all fields, sorted.
func (o *Object) Names() []string {
	names := make([]string, 0, len(o.members))
	for n := range o.members {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Has reports whether the field was given and is not null.
func (o *Object) Has(name string) bool {
	v, ok := o.members[name]
	o.read[name] = true
	return ok && v != nil
}

// Null reports whether the field was given as null.
func (o *Object) Null(name string) bool {
	v, ok := o.members[name]
	o.read[name] = true
	return ok && v == nil
}

// Require says that fields must be given.
func (o *Object) Require(names ...string) {
	for _, n := range names {
		if !o.Has(n) {
			o.fail(n, "It is required.")
		}
	}
}

// Ignore takes fields whose value makes no difference here.
func (o *Object) Ignore(names ...string) {
	for _, n := range names {
		o.read[n] = true
	}
}

// Refuse says that a field may only be absent, null, false, zero or empty.
func (o *Object) Refuse(names ...string) {
	for _, n := range names {
		o.read[n] = true
		switch v := o.members[n].(type) {
		case nil:
			continue
		case bool:
			if !v {
				continue
			}
		case string:
			if v == "" {
				continue
			}
		case []any:
			if len(v) == 0 {
				continue
			}
		case map[string]any:
			if len(v) == 0 {
				continue
			}
		case json.Number:
			if v == "0" {
				continue
			}
		}
		o.fail(n, "It is not supported.")
	}
}
