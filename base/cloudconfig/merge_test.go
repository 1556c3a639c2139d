package cloudconfig

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func parseMap(t testing.TB, text string) *Node {
	t.Helper()
	n, err := ParseMap([]byte(text))
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return n
}

// The file holds what cloud-init 22.4.2 (Debian 12), handlers/cloud_config.py
// and util.py mergemanydict, made of the same parts.
func TestMergesAsCloudInit(t *testing.T) {
	data, err := os.ReadFile("testdata/mergers-22.4.2.json")
	if err != nil {
		t.Fatal(err)
	}
	type merged struct {
		How   string
		Parts []string
		Want  string
	}
	var golden struct{ Parts, Combine []merged }
	if err := json.Unmarshal(data, &golden); err != nil || len(golden.Parts) < 500 || len(golden.Combine) < 90 {
		t.Fatalf("%d and %d cases, %v", len(golden.Parts), len(golden.Combine), err)
	}
	for _, g := range golden.Parts {
		var doc *Node
		for i, part := range g.Parts {
			how := ""
			if i == len(g.Parts)-1 {
				how = g.How
			}
			if doc, err = MergePart(doc, parseMap(t, part), how); err != nil {
				break
			}
		}
		if err != nil {
			if !strings.Contains(err.Error(), "cannot merge a") { // a text or map taken apart there
				t.Errorf("%+v: %v", g, err)
			}
			continue
		}
		if got := string(Dump(doc)); got != g.Want {
			t.Errorf("%q %q\n got %q\nwant %q", g.How, g.Parts, got, g.Want)
		}
	}
	for _, g := range golden.Combine {
		var configs []*Node
		for _, part := range g.Parts {
			configs = append(configs, parseMap(t, part))
		}
		doc, err := Combine(append(configs, nil)...)
		if err != nil && strings.Contains(err.Error(), "cannot merge a") {
			continue
		}
		if got := string(Dump(doc)); err != nil || got != g.Want {
			t.Errorf("%q: %v\n got %q\nwant %q", g.Parts, err, got, g.Want)
		}
	}
}

func TestMergeLeavesItsArguments(t *testing.T) {
	base, over := parseMap(t, "a: [1]\nb: {c: 1}\n"), parseMap(t, "a: [2]\nb: {d: 2}\nmerge_how: dict(recurse_list)+list(append)\n")
	before := typed(base) + typed(over)
	if _, err := MergePart(base, over, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := Combine(base, over); err != nil {
		t.Fatal(err)
	}
	if after := typed(base) + typed(over); after != before {
		t.Errorf("before %s\nafter  %s", before, after)
	}
}

func TestParseHowRefuses(t *testing.T) {
	for _, text := range []string{"list", "list(append", "tuple()", "list(append)+x", "+list()("} {
		if h, err := ParseHow(text); err == nil {
			t.Errorf("%q: %+v", text, h)
		}
	}
	for _, text := range []string{"merge_how: 5", "merge_how: [x()]", "merge_how: [[]]", "merge_how: [{settings: [a]}]"} {
		if _, err := MergePart(nil, parseMap(t, text), ""); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestMergeDefault(t *testing.T) {
	got, err := Merge(parseMap(t, "a: [1, 2]\nb: {x: 1}\n"), parseMap(t, "a: [3]\nb: {y: 2}\nc: 4\n"))
	if want := "---\na:\n- 3\nb:\n    y: 2\nc: 4\n...\n"; err != nil || string(Dump(got)) != want {
		t.Errorf("%s, %v", Dump(got), err)
	}
}
