package enroll

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNames(t *testing.T) {
	cases := []struct {
		names string
		want  Peer
		bad   bool
	}{
		{names: "imprint:role:api", want: Peer{Role: API}},
		{names: "imprint:node:n1 imprint:node-role:network imprint:node-role:compute imprint:node-generation:3",
			want: Peer{Node: "n1", Roles: []NodeRole{ComputeNode, NetworkNode}, Generation: 3}},
		{names: "", bad: true},
		{names: "imprint:node:n1 imprint:node-generation:0", bad: true},
		{names: "imprint:node:n1 imprint:node-role:compute", bad: true},
		{names: "imprint:node-role:compute imprint:node-generation:0", bad: true},
		{names: "imprint:role:api imprint:node-generation:0", bad: true},
		{names: "imprint:role:api imprint:node-role:compute", bad: true},
		{names: "imprint:role:api imprint:node:n1 imprint:node-role:compute imprint:node-generation:0", bad: true},
		{names: "imprint:role:api imprint:role:store", bad: true},
		{names: "imprint:role:root", bad: true},
		{names: "imprint:role:", bad: true},
		{names: "imprint:role:api https://example.org", bad: true},
		{names: "role:api", bad: true},
		{names: "imprint:other:x imprint:role:api", bad: true},
		{names: "imprint:node:n1 imprint:node:n2 imprint:node-role:compute imprint:node-generation:0", bad: true},
		{names: "imprint:node:n1:x imprint:node-role:compute imprint:node-generation:0", bad: true},
		{names: "imprint:node:../n1 imprint:node-role:compute imprint:node-generation:0", bad: true},
		{names: "imprint:node:n1 imprint:node-role:compute imprint:node-role:compute imprint:node-generation:0", bad: true},
		{names: "imprint:node:n1 imprint:node-role:root imprint:node-generation:0", bad: true},
		{names: "imprint:node:n1 imprint:node-role:compute imprint:node-generation:-1", bad: true},
		{names: "imprint:node:n1 imprint:node-role:compute imprint:node-generation:01", bad: true},
	}
	for _, tc := range cases {
		got, err := parseNames(strings.Fields(tc.names))
		if (err != nil) != tc.bad || err == nil && !cmp.Equal(got, tc.want) {
			t.Errorf("%s: %+v, %v", tc.names, got, err)
		}
	}
}

func FuzzNames(f *testing.F) {
	f.Add("imprint:role:api")
	f.Add("imprint:node:n1 imprint:node-role:compute imprint:node-role:network imprint:node-generation:12")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseNames(strings.Fields(text))
		if err != nil {
			return
		}
		var names []string
		for _, u := range p.names() {
			names = append(names, u.String())
		}
		again, err := parseNames(names)
		if err != nil || !cmp.Equal(p, again) {
			t.Errorf("%q: %+v, then %+v, %v", text, p, again, err)
		}
	})
}
