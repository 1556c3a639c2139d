// Package oslotest answers "what does the real oslo.config make of these
// files?", for tests: it runs it once over many cases.
package oslotest

import (
	"bytes"
	_ "embed" // the program
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

//go:embed oslo.py
var program string

// Option is an option as its service registers it.
type Option struct {
	Group, Name string
	// Type is str, bool, int, port, list, choice, host or multi.
	Type    string
	Default any
	Older   []Place
	Choices []string // of choice, and of the items of list
	Min     *int
}

// Place is where an option stands.
type Place struct{ Group, Name string }

// Case are files and the command line that reads them, in their directory.
type Case struct {
	Name  string
	Files map[string]string
	Args  []string
}

// One returns a case of one file.
func One(name, text string) Case {
	return Case{name, map[string]string{"a.conf": text}, []string{"--config-file", "a.conf"}}
}

// Answer is what oslo.config says of a case.
type Answer struct {
	Dir string // where the files are
	// Refused is why the files are refused as a whole, "" if they are read.
	Refused string
	// Values has a string, bool, float64, []any or nil for each "[group] name".
	Values map[string]any
	// Options says which options are refused, and why.
	Options map[string]string
}

// Refusal returns why one of the options or the files are refused, "" if they
// are not.
func (a Answer) Refusal() string {
	if a.Refused != "" || len(a.Options) == 0 {
		return a.Refused
	}
	first := slices.Sorted(maps.Keys(a.Options))[0]
	return first + ": " + a.Options[first]
}

// Ask returns the answers to the cases, in their order. It needs Debian's
// python3-oslo.config.
func Ask(t *testing.T, options []Option, cases []Case) []Answer {
	t.Helper()
	const python = "/usr/bin/python3"
	if exec.Command(python, "-c", "import oslo_config").Run() != nil {
		t.Skip("needs python3-oslo.config")
	}
	type asked struct {
		Dir  string
		Args []string
	}
	var question struct {
		Options []Option
		Cases   []asked
	}
	question.Options = options
	answers := make([]Answer, len(cases))
	for i, c := range cases {
		answers[i].Dir = t.TempDir()
		for name, text := range c.Files {
			path := filepath.Join(answers[i].Dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		question.Cases = append(question.Cases, asked{answers[i].Dir, c.Args})
	}
	in, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-I", "-c", program)
	cmd.Env = []string{"LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin"}
	cmd.Stdin = bytes.NewReader(in)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("oslo.config: %v", err)
	}
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatal(err)
	}
	return answers
}
