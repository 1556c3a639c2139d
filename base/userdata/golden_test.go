package userdata

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// golden is what the real cloud-init 22.4.2 (Debian 12), user_data.py and
// handlers.walk, made of an input.
type golden struct {
	Name  string
	Input []byte
	Parts []goldenPart
}

type goldenPart struct {
	Type, Filename string
	Body           []byte
	LaunchIndex    string `json:"launch_index"`
	MergeType      string `json:"merge_type"`
}

func goldenCases(t testing.TB) []golden {
	t.Helper()
	data, err := os.ReadFile("testdata/user_data-22.4.2.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []golden
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases { // Python keeps the ends of folded lines and blanks at the end
		for i := range c.Parts {
			p := &c.Parts[i]
			p.MergeType = strings.ReplaceAll(p.MergeType, "\n", "")
			p.LaunchIndex = strings.TrimSpace(p.LaunchIndex)
		}
	}
	return cases
}

func TestAsCloudInit(t *testing.T) {
	for _, g := range goldenCases(t) {
		t.Run(g.Name, func(t *testing.T) {
			parts, problems := Parse(g.Input, Options{})
			var got []goldenPart
			for _, p := range parts {
				gp := goldenPart{Type: p.Type, Filename: p.Filename, Body: p.Body, MergeType: p.MergeType}
				if p.LaunchIndex >= 0 {
					gp.LaunchIndex = strconv.Itoa(p.LaunchIndex)
				}
				if len(p.Body) == 0 {
					gp.Body = []byte{}
				}
				got = append(got, gp)
			}
			if diff := cmp.Diff(g.Parts, got); diff != "" && !(len(g.Parts) == 0 && len(got) == 0) {
				t.Errorf("want -, got +:\n%s\nproblems: %+v", diff, problems)
			}
		})
	}
}
