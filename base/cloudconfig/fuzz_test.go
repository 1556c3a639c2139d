package cloudconfig

import (
	"strings"
	"testing"
)

// What is accepted is written and read back as the same value, and nothing
// that walks it fails.
func FuzzParse(f *testing.F) {
	for _, s := range documents() {
		f.Add([]byte(s))
	}
	for _, s := range scalars() {
		f.Add([]byte("k: " + s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := Parse(data)
		if err != nil {
			if _, ok := err.(*Error); !ok {
				t.Errorf("error of type %T", err)
			}
			return
		}
		Check(n)
		if _, err := MergePart(n, n, "list(append)+dict(recurse_list,allow_delete)+str(append)"); err != nil {
			t.Log(err)
		}
		text, err := n.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseJSON(text); err != nil {
			t.Errorf("JSON %s: %v", text, err)
		}
		first := Dump(n)
		again, err := Parse(first)
		if err != nil {
			t.Fatalf("dump %q: %v", first, err)
		}
		if second := Dump(again); string(second) != string(first) {
			t.Errorf("dump %q\nbecame %q", first, second)
		}
	})
}

// A patch gives a document within the limits, or an error.
func FuzzPatch(f *testing.F) {
	for _, c := range append(writtenCases(), generatedCases()...) {
		for _, p := range c.Parts {
			if strings.HasSuffix(p.Type, "jsonp") {
				f.Add([]byte(p.Body))
			}
		}
	}
	base, err := ParseMap([]byte("a: {a: {b: [1]}, d: 1}\nb: [1, 2]\nc: {a: {}}\nd: [[]]\n"))
	if err != nil {
		f.Fatal(err)
	}
	before := string(Dump(base))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := PatchPart(base, data)
		if err == nil && n != nil {
			if again, err := Parse(Dump(n)); err != nil || len(again.Pairs()) != len(n.Pairs()) {
				t.Errorf("%q comes back as %v, %v", Dump(n), again, err)
			}
		}
		if after := string(Dump(base)); after != before {
			t.Errorf("the base became %q", after)
		}
	})
}

func FuzzCommandLine(f *testing.F) {
	for _, c := range writtenCases() {
		f.Add(c.Parts[0].Body)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if text := CommandLine(line); len(text) > 3*len(line) {
			t.Errorf("%d bytes of %d", len(text), len(line))
		}
		CommandLineURL(line)
	})
}
