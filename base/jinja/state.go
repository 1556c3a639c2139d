package jinja

import (
	"fmt"
	"strings"
)

// maxCalls bounds how deep macros and recursive loops call each other, and
// maxDeep how deep values are walked.
const (
	maxCalls = 100
	maxDeep  = 200
)

// state is one rendering.
type state struct {
	t     *Template
	out   *strings.Builder
	scope *scope
	root  *scope // of the template itself
	line  int
	work  int // left
	wrote int
	calls int
	body  string // of the filter or set block that is being filtered
}

// scope holds the variables of a block; what it lacks its parent has.
type scope struct {
	vars   map[string]any
	parent *scope
}

func newState(t *Template, vars *Dict, out *strings.Builder) *state {
	base := &scope{vars: t.lib.globals()}
	if vars != nil {
		for i, k := range vars.keys {
			if name, ok := k.(string); ok {
				base.vars[name] = vars.values[i]
			}
		}
	}
	root := &scope{vars: map[string]any{}, parent: base}
	return &state{t: t, out: out, scope: root, root: root, line: 1, work: t.opts.MaxWork}
}

// fail ends the rendering at the present line.
func (s *state) fail(format string, a ...any) {
	panic(&Error{s.line, fmt.Sprintf(format, a...)})
}

// charge pays for n steps or items.
func (s *state) charge(n int) {
	if s.work -= n; s.work < 0 || n < 0 {
		s.fail("more than %d steps of work", s.t.opts.MaxWork)
	}
}

// made pays for a text.
func (s *state) made(text string) string {
	s.charge(len(text) / 32)
	return text
}

// afford refuses a text or list before it is made.
func (s *state) afford(items, size int) {
	if items > 0 && size > 0 && (items > 1<<30 || size > 1<<30 || items*size/32 > s.work) {
		s.charge(s.work + 1)
	}
}

func (s *state) write(text string) {
	if s.wrote += len(text); s.wrote > s.t.opts.MaxOutput {
		s.fail("more than %d bytes of output", s.t.opts.MaxOutput)
	}
	s.out.WriteString(text)
}

func (s *state) run(body []stmt) {
	for _, b := range body {
		s.charge(1)
		b.exec(s)
	}
}

func (s *state) eval(e expr) any {
	s.charge(1)
	return e.eval(s)
}

// within runs f in a scope below parent.
func (s *state) within(parent *scope, f func()) {
	was := s.scope
	s.scope = &scope{vars: map[string]any{}, parent: parent}
	f()
	s.scope = was
}

// captured is what f writes.
func (s *state) captured(f func()) string {
	was, wrote := s.out, s.wrote
	var out strings.Builder
	s.out = &out
	f()
	s.out, s.wrote = was, wrote
	return s.made(out.String())
}

// deeper counts a call until the function that it returns is called.
func (s *state) deeper() func() {
	if s.calls++; s.calls > maxCalls {
		s.fail("maximum recursion depth exceeded")
	}
	return func() { s.calls-- }
}

func (s *state) lookup(name string) (any, bool) {
	for c := s.scope; c != nil; c = c.parent {
		if v, ok := c.vars[name]; ok {
			return v, true
		}
	}
	return nil, false
}
