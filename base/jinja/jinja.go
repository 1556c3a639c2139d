// Package jinja is the template language of user data: parse and render within
// limits; reaches no file, process or network.
//
// It gives the output of Jinja 3.1 as cloud-init uses it
// (cloudinit/templater.py, 22.4): no autoescaping, the "do" extension, no
// loader. Values are Python's: nil (None), bool, *big.Int, float64, string,
// *[List], [Tuple] and *[Dict].
//
// Departures: Python attributes beyond the public methods of str, list, tuple
// and dict do not exist (as in Jinja's sandbox), nor do lipsum, urlize, self,
// required blocks and autoescape blocks; pprint writes one line; a generator is
// run at once and not item by item.
package jinja

import (
	"fmt"
	"strings"
)

// Options of a template. The zero value is ready to use.
type Options struct {
	// TrimBlocks drops the newline behind a block, as cloud-init has it.
	TrimBlocks bool
	// Missing is what stands before the name of an undefined variable in the
	// output, as cloud-init's CI_MISSING_JINJA_VAR/. Without it an undefined
	// variable prints nothing, as in plain Jinja.
	Missing string

	MaxSize   int // bytes of the template; default 1 MiB
	MaxOutput int // bytes of the output; default 4 MiB
	MaxWork   int // steps, of which one also pays for 32 bytes or an item made; default a million
}

func (o Options) withDefaults() Options {
	if o.MaxSize <= 0 {
		o.MaxSize = 1 << 20
	}
	if o.MaxOutput <= 0 {
		o.MaxOutput = 4 << 20
	}
	if o.MaxWork <= 0 {
		o.MaxWork = 1_000_000
	}
	return o
}

// Error is a fault of a template at a line.
type Error struct {
	Line int // of the template, from 1
	Text string
}

// Error names the line and the fault.
func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Text) }

// Template is a parsed template. It is safe for concurrent use.
type Template struct {
	opts Options
	body []stmt
	lib  *library
}

// Parse reads a template. Its errors are [*Error].
func Parse(text string, opts Options) (t *Template, err error) {
	opts = opts.withDefaults()
	if len(text) > opts.MaxSize {
		return nil, &Error{1, fmt.Sprintf("template of %d bytes, the limit is %d", len(text), opts.MaxSize)}
	}
	defer func() { err = caught(recover(), err) }()
	lib := newLibrary()
	p := &parser{tokens: lex(text, opts.TrimBlocks), lib: lib}
	return &Template{opts: opts, body: p.template(), lib: lib}, nil
}

// Render fills the template in; vars may be nil. A template may change the values below vars.
// Its errors are [*Error].
func (t *Template) Render(vars *Dict) (text string, err error) {
	defer func() {
		if err = caught(recover(), err); err != nil {
			text = ""
		}
	}()
	var out strings.Builder
	s := newState(t, vars, &out)
	s.run(t.body)
	return out.String(), nil
}

// caught makes an error of what [state.fail] and [parser.fail] threw; they
// unwind a template's own recursion, as text/template does it.
func caught(thrown any, err error) error {
	if thrown == nil {
		return err
	}
	fault, ok := thrown.(*Error)
	if !ok {
		panic(thrown)
	}
	return fault
}
