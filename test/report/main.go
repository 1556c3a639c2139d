// Report reads the event streams of 'go test -json' from standard input, prints
// what failed, the ten slowest tests and a closing line, and exits 1 when a
// test or a build failed, or nothing ran. With CI=true a skip is a failure.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// event is one line of the stream (go doc test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Output     string
	Elapsed    float64
}

// result is the outcome of a test, or of a package when it has no test's name.
type result struct {
	name    string
	elapsed float64
	output  []string
}

type summary struct {
	running         map[string]*result
	slow            []result
	passed, skipped int
	failed          []result
}

func main() {
	s := summary{running: map[string]*result{}}
	if err := s.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "report: read events:", err)
		os.Exit(2)
	}
	os.Exit(s.print(os.Stdout, os.Getenv("CI") == "true"))
}

func (s *summary) read(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text())
			continue
		}
		s.take(e)
	}
	return lines.Err()
}

func (s *summary) take(e event) {
	name := cmp.Or(e.Package, e.ImportPath)
	if e.Test != "" {
		name += " " + e.Test
	}
	r := s.running[name]
	if r == nil {
		r = &result{name: name}
		s.running[name] = r
	}
	switch e.Action {
	case "output", "build-output":
		r.output = append(r.output, e.Output)
	case "pass", "skip", "fail", "build-fail":
		delete(s.running, name)
		r.elapsed = e.Elapsed
		s.ended(e, *r)
	}
}

func (s *summary) ended(e event, r result) {
	switch {
	case e.Action == "fail" || e.Action == "build-fail":
		s.failed = append(s.failed, r)
	case e.Test == "":
		if e.Action == "pass" {
			fmt.Printf("ok   %-34s %6.1f s\n", e.Package, e.Elapsed)
		}
		return
	case e.Action == "skip":
		s.skipped++
		fmt.Printf("skip %s\n%s", r.name, strings.Join(r.output, ""))
	default:
		s.passed++
	}
	if e.Test != "" && !strings.Contains(e.Test, "/") {
		s.slow = append(s.slow, r)
	}
}

// print returns the exit status.
func (s *summary) print(out io.Writer, ci bool) int {
	for _, r := range s.failed {
		fmt.Fprintf(out, "\nFAIL %s\n%s", r.name, strings.Join(r.output, ""))
	}
	for _, r := range s.running {
		fmt.Fprintf(out, "\nFAIL %s never ended\n%s", r.name, strings.Join(r.output, ""))
	}
	slices.SortFunc(s.slow, func(a, b result) int { return cmp.Compare(b.elapsed, a.elapsed) })
	fmt.Fprintln(out, "\nThe ten slowest:")
	for _, r := range s.slow[:min(10, len(s.slow))] {
		fmt.Fprintf(out, "%8.1f s  %s\n", r.elapsed, r.name)
	}
	failed := len(s.failed) + len(s.running)
	if ci {
		failed += s.skipped
	}
	fmt.Fprintf(out, "\n%d passed, %d failed, %d skipped\n", s.passed, failed, s.skipped)
	if failed > 0 || s.passed == 0 {
		return 1
	}
	return 0
}
