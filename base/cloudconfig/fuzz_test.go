package cloudconfig

import "testing"

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
