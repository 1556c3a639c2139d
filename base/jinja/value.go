package jinja

import "math/big"

// List is a list; templates can change it.
type List struct{ Items []any }

// Tuple is a list that cannot change.
type Tuple []any

// Markup is text that is escaped for HTML already.
type Markup string

// undefined stands for what is not there. Most uses of it fail.
type undefined struct {
	hint   string // instead of the usual message
	in     any    // what lacks it; nil for a variable
	name   any    // nil when there is none
	of     bool   // in is set
	silent bool   // prints nothing, as in plain Jinja
}

// message tells what is missing (jinja2/runtime.py Undefined, 3.1.2).
func (u *undefined) message() string {
	name, isText := u.name.(string)
	switch {
	case u.hint != "":
		return u.hint
	case !u.of:
		return "'" + name + "' is undefined"
	case !isText:
		return objectName(u.in) + " has no element " + repr(u.name)
	}
	return "'" + objectName(u.in) + "' has no attribute '" + name + "'"
}

func objectName(v any) string {
	if v == nil {
		return "None"
	}
	return typeName(v) + " object"
}

// defined fails on an undefined value.
func (s *state) defined(v any) {
	if u, ok := v.(*undefined); ok {
		s.fail("%s", u.message())
	}
}

// rangeValue is what range() gives.
type rangeValue struct{ start, stop, step int }

func (r rangeValue) len() int {
	switch {
	case r.step > 0 && r.stop > r.start:
		return (r.stop-r.start-1)/r.step + 1
	case r.step < 0 && r.stop < r.start:
		return (r.start-r.stop-1)/-r.step + 1
	}
	return 0
}

// view is d.keys(), d.values() or d.items().
type view struct {
	name string
	dict *Dict
}

// generator gives its items once.
type generator struct{ items []any }

// group is an entry of what groupby gives.
type group struct{ Tuple }

func (g *group) attr(_ *state, name string) (any, bool) {
	switch name {
	case "grouper":
		return g.Tuple[0], true
	case "list":
		return g.Tuple[1], true
	}
	return nil, false
}

// typeName is Python's name of a value's type.
func typeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case *big.Int:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case Markup:
		return "Markup"
	case *List:
		return "list"
	case Tuple:
		return "tuple"
	case *group:
		return "_GroupTuple"
	case *Dict:
		return "dict"
	case *undefined:
		return "Undefined"
	case rangeValue:
		return "range"
	case slice:
		return "slice"
	case *view:
		return v.name
	case *generator:
		return "generator"
	case *namespace:
		return "Namespace"
	case *loop:
		return "LoopContext"
	case *macro:
		return "Macro"
	case *cycler:
		return "Cycler"
	case *joiner:
		return "Joiner"
	}
	return "builtin_function_or_method"
}

func (v *view) items() []any {
	out := make([]any, 0, len(v.dict.keys))
	for i, k := range v.dict.keys {
		switch v.name {
		case "dict_keys":
			out = append(out, k)
		case "dict_values":
			out = append(out, v.dict.values[i])
		default:
			out = append(out, Tuple{k, v.dict.values[i]})
		}
	}
	return out
}
