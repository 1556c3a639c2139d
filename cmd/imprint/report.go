package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/term"
)

// report prints a story as it happens: steps, what is asked, what came out, and
// one line for each check. On a terminal the line of what is being waited for
// is live; elsewhere every line is final.
type report struct {
	out        io.Writer
	live       bool
	strict     bool // a check that could not run counts as failed
	now        func() time.Time
	began      time.Time
	drawn      time.Time // the live line
	stepBegan  time.Time
	steps      []stepTime
	failed     int
	held       int
	notChecked int
	// middle, unless nil, is called once in each step, after its first request.
	middle  func(step int)
	reached int // the last step whose middle was
}

type stepTime struct {
	title string
	took  time.Duration
}

// newReport prints to out; live when out is a terminal.
func newReport(out io.Writer, fd int, strict bool) *report {
	now := time.Now()
	return &report{out: out, live: term.IsTerminal(fd), strict: strict, now: time.Now, began: now, stepBegan: now}
}

// step begins a step; its predecessor ends.
func (r *report) step(title string) {
	r.endStep()
	r.clear()
	r.stepBegan = r.now()
	r.steps = append(r.steps, stepTime{title: title})
	fmt.Fprintf(r.out, "\n%d. %s\n", len(r.steps), title)
}

func (r *report) endStep() {
	if n := len(r.steps); n > 0 && r.steps[n-1].took == 0 {
		r.steps[n-1].took = r.now().Sub(r.stepBegan)
	}
}

// asked prints a request that was made and what it gave.
func (r *report) asked(format string, args ...any) {
	r.clear()
	fmt.Fprintf(r.out, "   → %s\n", fmt.Sprintf(format, args...))
	if step := len(r.steps); r.middle != nil && step > r.reached {
		r.reached = step
		r.middle(step)
	}
}

// wait shows what is being waited for; printed only on a terminal.
func (r *report) wait(what string) {
	if r.live && r.now().Sub(r.drawn) >= 100*time.Millisecond {
		r.drawn = r.now()
		fmt.Fprintf(r.out, "\r\x1b[K   … %s (%.1f s)", what, r.now().Sub(r.stepBegan).Seconds())
	}
}

func (r *report) clear() {
	if r.live {
		fmt.Fprint(r.out, "\r\x1b[K")
	}
}

// check prints whether a statement held, and what was seen.
func (r *report) check(statement string, held bool, seen string) {
	r.clear()
	mark := "✓"
	if held {
		r.held++
	} else {
		r.failed++
		mark = "✗"
	}
	if seen = strings.Join(strings.Fields(seen), " "); seen != "" {
		if held {
			seen = short(seen)
		}
		seen = " (" + seen + ")"
	}
	fmt.Fprintf(r.out, "   %s %s%s\n", mark, statement, seen)
}

// skip prints a check that could not run.
func (r *report) skip(statement, why string) {
	r.clear()
	r.notChecked++
	fmt.Fprintf(r.out, "   - not checked: %s (%s)\n", statement, why)
}

// ok reports whether every check held.
func (r *report) ok() bool {
	return r.failed == 0 && r.held > 0 && !(r.strict && r.notChecked > 0)
}

// summary prints what everything took.
func (r *report) summary() {
	r.endStep()
	r.clear()
	fmt.Fprintln(r.out)
	for i, s := range r.steps {
		fmt.Fprintf(r.out, "   %d. %-58s %6.1f s\n", i+1, s.title, s.took.Seconds())
	}
	fmt.Fprintf(r.out, "   %-61s %6.1f s\n", "the whole story", r.now().Sub(r.began).Seconds())
	fmt.Fprintf(r.out, "\n%d checks held, %d failed, %d not checked\n", r.held, r.failed, r.notChecked)
}

// short cuts text for the end of a line.
func short(s string) string {
	const most = 100
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-3]) + "..."
	}
	return s
}
