package main

import (
	"bufio"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
)

// listed is a case of cases.txt.
type listed struct {
	name   string
	python bool   // it needs a machine with Python
	waits  string // what it waits for, "" if it must pass
}

// difference is one of diff-runs, or one of status --long.
type difference struct {
	kind  string   // only-A, only-B, meta, content, calls, state, rc, status
	path  string   // of the file, or the kind again
	text  string   // how it differs
	lines []string // of content and the like: those that differ, with their sign
}

func (d difference) String() string {
	return "  " + d.kind + ": " + d.path + "\n    " + d.text
}

func text(all []difference) string {
	var b strings.Builder
	for _, d := range all {
		b.WriteString(d.String())
	}
	return b.String()
}

var (
	fileLine    = regexp.MustCompile(`^(only A|only B|meta|content): (\S+?):?(?: .*)?$`)
	changed     = regexp.MustCompile(`^(\+[^+]|-[^-]|[+-]$)`)
	sectionLine = regexp.MustCompile(`^(calls|state|rc) differ$`)
)

// parseDifferences takes diff-runs' account apart.
func parseDifferences(out string) []difference {
	var all []difference
	for line := range strings.Lines(out) {
		bare := strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, " ") && len(all) > 0:
			d := &all[len(all)-1]
			d.text += line
			if sign := strings.TrimPrefix(bare, "    "); changed.MatchString(sign) {
				d.lines = append(d.lines, sign)
			}
		case fileLine.MatchString(bare):
			m := fileLine.FindStringSubmatch(bare)
			all = append(all, difference{kind: strings.ReplaceAll(m[1], " ", "-"), path: m[2], text: line})
		case sectionLine.MatchString(bare):
			kind := sectionLine.FindStringSubmatch(bare)[1]
			all = append(all, difference{kind: kind, path: kind, text: line})
		}
	}
	return all
}

// accepted is a line of differences.txt. Without a line pattern the whole
// difference is accepted, with one the lines that match.
type accepted struct {
	cases, kind, path, reason string
	line                      *regexp.Regexp
	used                      atomic.Bool
}

func (a *accepted) String() string {
	if a.line == nil {
		return a.cases + " " + a.kind + " " + a.path
	}
	return a.cases + " " + a.kind + " " + a.path + " " + a.line.String()
}

// cover takes out of d what is accepted, and tells whether nothing is left.
func (a *accepted) cover(name string, d *difference) bool {
	match := func(glob, s string) bool { ok, _ := path.Match(glob, s); return ok || glob == "*" }
	if d.kind == "cli" { // a command, no path
		match = func(glob, s string) bool { return commandGlob(glob).MatchString(s) }
	}
	if !match(a.cases, name) || !match(a.kind, d.kind) || !match(a.path, d.path) {
		return false
	}
	if a.line == nil {
		a.used.Store(true)
		return true
	}
	before := len(d.lines)
	d.lines = slices.DeleteFunc(d.lines, a.line.MatchString)
	if len(d.lines) < before {
		a.used.Store(true)
	}
	return before > 0 && len(d.lines) == 0
}

// commandGlob is a pattern in which "*" is any text.
func commandGlob(glob string) *regexp.Regexp {
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(glob), `\*`, ".*") + "$")
}

// unaccepted are the differences that no line accepts.
func (s *suite) unaccepted(name string, all []difference) []difference {
	var rest []difference
	for _, d := range all {
		ok := false
		for _, a := range s.accepts {
			ok = a.cover(name, &d) || ok
		}
		if !ok || s.verbose {
			rest = append(rest, d)
		}
	}
	return rest
}

// readCases reads lines "NAME [python]" or "NAME: what it waits for".
func readCases(file string) ([]listed, error) {
	var all []listed
	err := readLines(file, func(line string) error {
		what, waits, _ := strings.Cut(line, ": ")
		name, needs, _ := strings.Cut(what, " ")
		all = append(all, listed{name, needs == "python", strings.TrimSpace(waits)})
		return nil
	})
	return all, err
}

// readAccepted reads lines "CASE KIND PATH: reason", the first and the third
// with wildcards, or "CASE KIND PATH LINE: reason", LINE a regular expression
// between slashes.
func readAccepted(file string) ([]*accepted, error) {
	var all []*accepted
	err := readLines(file, func(line string) error {
		m := acceptedLine.FindStringSubmatch(line)
		if m == nil {
			return fmt.Errorf("%s: %q is not CASE KIND PATH [/LINE/]: reason", file, line)
		}
		a := &accepted{cases: m[1], kind: m[2], path: strings.ReplaceAll(m[3], `\ `, " "), reason: m[5]}
		if m[4] != "" {
			var err error
			if a.line, err = regexp.Compile(m[4]); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
		all = append(all, a)
		return nil
	})
	return all, err
}

var acceptedLine = regexp.MustCompile(`^(\S+) (\S+) ((?:\\ |\S)+?)(?: /(.*)/)?: (.*)$`)

// readLines hands the lines over that are neither empty nor comments.
func readLines(file string, take func(string) error) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if err := take(line); err != nil {
			return err
		}
	}
	return lines.Err()
}
