package cloudconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPositions(t *testing.T) {
	n := parseMap(t, "#cloud-config\nhostname: é\nusers:\n  - name: a\n    groups: [x, 'y', -]\nanchor: &a {k: v}\nalias: *a\ntext: |\n  b\n")
	for path, want := range map[string][2]int{
		"hostname": {2, 11}, "users": {4, 3}, "anchor": {6, 9}, "alias": {6, 9}, "text": {8, 7},
	} {
		if got := n.Get(path); got.Line != want[0] || got.Column != want[1] {
			t.Errorf("%s: %d:%d", path, got.Line, got.Column)
		}
	}
	groups := n.Get("users").Items()[0].Get("groups").Items()
	if g := groups[2]; g.Line != 5 || g.Column != 22 || g.String() != "-" {
		t.Errorf("%d:%d %s", g.Line, g.Column, g)
	}
	if k := n.Pairs()[1].Key; k.Line != 3 || k.Column != 1 {
		t.Errorf("key at %d:%d", k.Line, k.Column)
	}
}

func TestErrorsHavePositions(t *testing.T) {
	for text, want := range map[string]string{
		"#cloud-config\nusers: [unclosed\n":  "line 2 column 8: while parsing a flow sequence: did not find expected ',' or ']'",
		"a: 1\n---\nb: 2\n":                  "line 2 column 1: expected a single document, but found another document",
		"a: 1\nb: \xff":                      "line 2 column 4: not UTF-8",
		"a: \x07":                            "line 1 column 4: special character U+0007 is not allowed",
		"a: !foo b":                          `line 1 column 4: could not determine a constructor for the tag "!foo"`,
		"a:\n  - 2001-13-01\n":               `line 2 column 5: "2001-13-01" is not in the calendar`,
		"a: &a [*a]\n":                       "line 1 column 4: found unconstructable recursive node",
		"&a <<: *a\n":                        "line 1 column 1: expected a map or list of maps for merging",
		"? [a]\n: b":                         "line 1 column 3: found unhashable key: a list",
		"a: *b\n":                            "line 1 column 4: unknown anchor 'b' referenced",
		"- a\n":                              "line 1 column 1: want a map at the top, have a list",
		"":                                   "line 1 column 1: empty cloud config",
		"a: &x {b: &y {<<: *x}}\n":           "line 1 column 11: found unconstructable recursive node",
		"a: " + strings.Repeat("9", 5000):    "line 1 column 4: an integer of more than 4300 digits",
		strings.Repeat("[", 5000):            "line 1 column 101: while increasing flow level: exceeded max depth of 100",
		strings.Repeat("- ", 5000):           "line 1 column 201: exceeded max depth of 100",
		"a: " + strings.Repeat("x", MaxSize): "document of 4194307 bytes, the limit is 4194304",
	} {
		_, err := ParseMap([]byte(text))
		if _, ok := errors.AsType[*Error](err); !ok || err.Error() != want {
			t.Errorf("%.40q\n got %v\nwant %s", text, err, want)
		}
	}
}

// Aliases make small texts large, and merge keys too.
func TestExpansionIsBounded(t *testing.T) {
	var laughs, deep, merges strings.Builder
	laughs.WriteString("a0: &a0 [x, x]\n")
	deep.WriteString("a0: &a0 [x]\n")
	merges.WriteString("a0: &a0 {k: v, l: w}\n")
	for i := 1; i < 200; i++ {
		fmt.Fprintf(&laughs, "a%d: &a%d [*a%d, *a%d, *a%d]\n", i, i, i-1, i-1, i-1)
		fmt.Fprintf(&deep, "a%d: &a%d [*a%d]\n", i, i, i-1)
		fmt.Fprintf(&merges, "a%d: &a%d {<<: [*a%d, *a%d, *a%d]}\n", i, i, i-1, i-1, i-1)
	}
	long := "a: &a " + strings.Repeat("x", 1<<20) + "\nb: [" + strings.Repeat("*a, ", 100) + "]\n"
	for name, tt := range map[string]struct{ text, want string }{
		"laughs": {laughs.String(), "more than 500000 values"},
		"deep":   {deep.String(), "more than 100 levels"},
		"merges": {merges.String(), "more than 500000 merged values"},
		"long":   {long, "more than 16777216 bytes of values"},
	} {
		start := time.Now()
		if _, err := Parse([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("%s took %s", name, d)
		}
	}
}

func TestBooleans(t *testing.T) {
	for text, want := range map[string]any{
		"true": true, "'true'": true, "TRUE": true, "'tRuE'": true, "yes": true, "'Yes'": true, "on": true, "1": true, "'1'": true, "' on '": true,
		"false": false, "'no'": false, "off": false, "0": false, "'OFF'": false,
		"2": nil, "1.0": nil, "maybe": nil, "[yes]": nil, "{}": nil, "''": nil, "y": nil,
	} {
		n := parseMap(t, "k: "+text)
		b, err := n.Get("k").AsBool()
		option, optionErr := n.Bool("k")
		if want == nil {
			if err == nil || b || optionErr == nil || option != False {
				t.Errorf("%s: %v, %v; %v, %v", text, b, err, option, optionErr)
			}
			continue
		}
		if err != nil || b != want || optionErr != nil || option.Or(!b) != want {
			t.Errorf("%s: %v, %v; %v, %v", text, b, err, option, optionErr)
		}
	}
	n := parseMap(t, "null_one:\n")
	for key, want := range map[string]Bool{"null_one": False, "missing": Unset} {
		if got, err := n.Bool(key); got != want || err != nil {
			t.Errorf("%s: %v, %v", key, got, err)
		}
	}
	if !Unset.Or(true) || Unset.Or(false) {
		t.Error("unset is not its default")
	}
}

func TestAccessors(t *testing.T) {
	n := parseMap(t, "s: text\ni: 0o17\nn: 010\nf: 1.5\nl: [a, 1, true, 2001-01-01]\nbad: [a, [b]]\nempty:\nbig: 99999999999999999999\nt: 2001-01-01 10:00:00 +2\nb: !!binary aGk=\n1: one\nm: {x: {y: z}}\n")
	if got := n.Get("m", "x", "y").String(); got != "z" {
		t.Error(got)
	}
	if n.Get("m", "s", "y") != nil || n.Get("s", "x") != nil || n.Get("1") != nil || n.Has("nope") || !n.Has("empty") || !n.Get("nope").IsNull() {
		t.Error("found what is not there")
	}
	if i, err := n.Get("n").AsInt(); i != 8 || err != nil {
		t.Error(i, err)
	}
	if s, err := n.Text("i"); s != "0o17" || err != nil {
		t.Error(s, err)
	}
	if f, err := n.Get("f").AsFloat(); f != 1.5 || err != nil {
		t.Error(f, err)
	}
	if got, err := n.Strings("l"); err != nil || !cmp.Equal(got, []string{"a", "1", "True", "2001-01-01"}) {
		t.Error(got, err)
	}
	if got, err := n.Strings("s"); err != nil || !cmp.Equal(got, []string{"text"}) {
		t.Error(got, err)
	}
	if got, err := n.Strings("nope"); got != nil || err != nil {
		t.Error(got, err)
	}
	if when, err := n.Get("t").AsTime(); err != nil || !when.Equal(time.Date(2001, 1, 1, 8, 0, 0, 0, time.UTC)) {
		t.Error(when, err)
	}
	if got := n.Get("b").String(); got != "hi" {
		t.Error(got)
	}
	if got := strings.Join(n.Get("m").Keys(), ","); got != "x" {
		t.Error(got)
	}
	for want, err := range map[string]error{
		"line 6 column 10: want a string, have a list":                                       second(n.Strings("bad")),
		`line 8 column 6: integer out of range: "99999999999999999999"`:                      second(n.Get("big").AsInt()),
		`line 1 column 4: want an integer, have "text"`:                                      second(n.Get("s").AsInt()),
		"want a string, have a null":                                                         second((*Node)(nil).AsString()),
		"line 12 column 4: want a string, have a map":                                        second(n.Text("m")),
		"line 12 column 4: want a list of strings, have a map":                               second(n.Strings("m")),
		`line 1 column 4: want a time, have "text"`:                                          second(n.Get("s").AsTime()),
		"line 12 column 4: want a number, have a map":                                        second(n.Get("m").AsFloat()),
		"line 12 column 4: want a boolean (true, 1, on, yes, false, 0, off, no), have a map": second(n.Get("m").AsBool()),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestWithAndWithout(t *testing.T) {
	n := parseMap(t, "a: 1\nb: 2\n")
	m := n.With("a", NewString("x")).With("c", NewList(NewBool(true), NewInt(5))).Without("b", "zz")
	if got := typed(m); got != "map( string(61.)=string(78.) string(63.)=list( boolean(True) integer(5)))" {
		t.Error(got)
	}
	if got := typed(n); got != "map( string(61.)=integer(1) string(62.)=integer(2))" {
		t.Error(got)
	}
	if got := (*Node)(nil).With("k", NewMap(Pair{NewString("a"), nil}, Pair{NewString("a"), NewInt(1)})).String(); got != `{"k":{"a":1}}` {
		t.Error(got)
	}
}

func TestJSON(t *testing.T) {
	text := `{"b":[1,-2.5,1e+20,true,null,"é<\u0001\n"],"a":{},"big":123456789012345678901234567890,"l":[]}`
	n, err := ParseJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(map[string]*Node{"n": n})
	if err != nil {
		t.Fatal(err)
	}
	var back struct{ N *Node }
	if err := json.Unmarshal(got, &back); err != nil || typed(back.N) != typed(n) {
		t.Errorf("%s, %v", got, err)
	}
	if got := n.String(); got != text {
		t.Errorf("got  %s\nwant %s", got, text)
	}
	yaml := parseMap(t, "1: 2001-01-01\ntrue: .inf\nnull: !!binary aGk=\n2.0: 1.0\n")
	if got := yaml.String(); got != `{"1":null,"null":"aGk=","2.0":1.0}` {
		t.Error(got)
	}
	for _, bad := range []string{"", "{", "[1,", `{"a":}`, "1 2", "nul", `{"a" 1}`, strings.Repeat("[", 101) + strings.Repeat("]", 101), "1e999", strings.Repeat("9", 5000)} {
		if n, err := ParseJSON([]byte(bad)); err == nil {
			t.Errorf("%.20q: %s", bad, n)
		}
	}
}
