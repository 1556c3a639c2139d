package userdata

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func compress(t testing.TB, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func mixed(parts ...string) string {
	return "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=B\n\n--B\n" + strings.Join(parts, "\n--B\n") + "\n--B--\n"
}

// brief is a list of parts as "type filename body".
func brief(parts []Part) []string {
	var out []string
	for _, p := range parts {
		out = append(out, strings.TrimPrefix(p.Type, "text/")+" "+p.Filename+" "+string(p.Body))
	}
	return out
}

func TestProblems(t *testing.T) {
	tests := map[string]struct {
		raw      string
		parts    int
		problems []Problem
	}{
		"good":        {raw: "#cloud-config\n", parts: 1},
		"empty":       {parts: 1},
		"bad header":  {raw: "#cloud-confg\nhostname: x\n", parts: 1, problems: []Problem{{Part: "part-001", Line: 1, Unhandled: true, Text: `Unhandled non-multipart (text/x-not-multipart) userdata: "#cloud-confg"`}}},
		"bad type":    {raw: mixed("Content-Type: text/html\n\n<html>"), parts: 1, problems: []Problem{{Part: "part-001", Line: 7, Unhandled: true, Text: `Unhandled unknown content-type (text/html) userdata: "<html>"`}}},
		"jinja":       {raw: "## template: jinja\n#cloud-config\n", parts: 1},
		"bad uu":      {raw: mixed("Content-Transfer-Encoding: uuencode\n\n#!x"), parts: 1},
		"no boundary": {raw: "MIME-Version: 1.0\nContent-Type: multipart/mixed\n\n--B\n", problems: []Problem{{Dropped: true, Line: 4, Text: "multipart/mixed without boundary"}}},
		"lost":        {raw: "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=X\n\n--B\n", problems: []Problem{{Dropped: true, Line: 4, Text: `multipart in which the boundary "X" is not found`}}},
		"not UTF-8":   {raw: "MIME-Version: 1.0\n\n\xff", problems: []Problem{{Dropped: true, Fatal: true, Text: "MIME message that is not UTF-8"}}},
		"bad gzip": {raw: mixed("Content-Type: application/gzip; name=z\n\nno", "\n#!"), parts: 1,
			problems: []Problem{{Part: "z", Dropped: true, Fatal: true, Line: 7, Text: "decompress application/gzip: unexpected EOF"}}},
		"archive": {raw: "#cloud-config-archive\n- content: {a: b}\n  filename: f\n- 5\n- {type: x, content: y}\n", problems: []Problem{
			{Part: "f", Dropped: true, Fatal: true, Line: 2, Text: "cloud-config-archive: line 2 column 12: content must be a text, not a map"},
			{Dropped: true, Line: 4, Text: "cloud-config-archive: line 4 column 3: an entry must be a text or a map, not a integer"},
			{Dropped: true, Fatal: true, Line: 5, Text: `cloud-config-archive: line 5 column 3: type "x" is no content type`},
		}},
		"archive map":  {raw: "#cloud-config-archive\na: b\n", problems: []Problem{{Dropped: true, Line: 1, Text: "cloud-config-archive: line 2 column 1: want a list, have a map"}}},
		"archive yaml": {raw: "#cloud-config-archive\n- [\n", problems: []Problem{{Dropped: true, Line: 3, Text: "cloud-config-archive: line 3 column 1: while parsing a flow node: did not find expected node content"}}},
		"launch index": {raw: mixed("Launch-Index: x\n\n#!"), parts: 1, problems: []Problem{{Part: "part-001", Line: 7, Text: `header Launch-Index: "x" is no number`}}},
		"many headers": {raw: "MIME-Version: 1.0\n" + strings.Repeat("a: b\n", 300), problems: []Problem{{Dropped: true, Line: 1, Text: "more than 200 headers"}}},
		"non-text": {raw: mixed("Content-Type: application/octet-stream\n\n\x00\x01" + strings.Repeat("é", 30)), parts: 1,
			problems: []Problem{{Part: "part-001", Line: 7, Unhandled: true, Text: `Unhandled unknown content-type (application/octet-stream) userdata: "\x00\x01` + strings.Repeat("é", 22) + `..."`}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			parts, problems := Parse([]byte(tt.raw), Options{})
			if diff := cmp.Diff(tt.problems, problems); diff != "" || len(parts) != tt.parts {
				t.Errorf("%d parts, want %d; problems:\n%s", len(parts), tt.parts, diff)
			}
		})
	}
}

// cloud-init spoils such text; see Parse.
func TestTextInMIMEStays(t *testing.T) {
	body := "#cloud-config\na: é中😀\n"
	parts, _ := Parse([]byte(mixed("Content-Type: text/cloud-config\n\n"+body+"\n")), Options{})
	if diff := cmp.Diff([]string{"cloud-config part-001 " + body + "\n"}, brief(parts)); diff != "" {
		t.Error(diff)
	}
}

func TestInclude(t *testing.T) {
	web := map[string]string{
		"http://a":    "#cloud-config\n",
		"http://b":    mixed("\n#!/bin/sh", "\n#include http://deep"),
		"http://deep": "#cloud-boothook\n",
		"http://loop": "#include\nhttp://loop\n",
		"http://gz":   string(compress(t, []byte("#!gz"))),
	}
	var asked []Include
	opts := Options{MaxDepth: 4, Fetch: func(i Include) ([]byte, error) {
		asked = append(asked, i)
		data, ok := web[i.URL]
		if !ok {
			return nil, errors.New("404")
		}
		return []byte(data), nil
	}}
	raw := mixed("\n#include-once http://a\n http://b \n# comment\n#INCLUDE\n\nhttp://nope\n", "\n#!last", "Content-Type: text/x-include-url\n\nhttp://gz\r\nhttp://loop")
	parts, problems := Parse([]byte(raw), opts)
	want := []string{"cloud-config part-001 #cloud-config\n", "x-shellscript part-002 #!/bin/sh", "cloud-boothook part-003 #cloud-boothook\n",
		"x-shellscript part-004 #!last", "x-shellscript part-005 #!gz"}
	if diff := cmp.Diff(want, brief(parts)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Problem{{Line: 11, Dropped: true, Fatal: true, Text: "include http://nope: 404"},
		{Source: "http://loop", Line: 1, Dropped: true, Text: "more than 4 nested includes"}}, problems); diff != "" {
		t.Error(diff)
	}
	wantAsked := []Include{{"http://a", true, 1}, {"http://b", true, 2}, {"http://deep", false, 1}, {"http://nope", false, 6}, {"http://gz", false, 1},
		{"http://loop", false, 2}, {"http://loop", false, 2}, {"http://loop", false, 2}, {"http://loop", false, 2}}
	if diff := cmp.Diff(wantAsked, asked); diff != "" {
		t.Error(diff)
	}

	parts, problems = Parse([]byte("#include\nhttp://a\n"), Options{})
	if diff := cmp.Diff([]string{"x-include-url  #include\nhttp://a\n"}, brief(parts)); diff != "" || problems != nil {
		t.Error(diff, problems)
	}
}

func TestLimits(t *testing.T) {
	bomb := compress(t, make([]byte, 8<<20))
	nested := "\n#!"
	for i := range 10 {
		nested = fmt.Sprintf("Content-Type: multipart/mixed; boundary=N%d\n\n--N%d\n%s\n--N%d--", i, i, nested, i)
	}
	many := mixed(strings.Split(strings.Repeat("\n#!|", 50), "|")...)
	entries := "#cloud-config-archive\n" + strings.Repeat("- x\n", 50)
	gz := "Content-Type: application/gzip\nContent-Transfer-Encoding: 8bit\n\n"
	small := Options{MaxSize: 1 << 20, MaxParts: 10, MaxDepth: 5}
	tests := map[string]struct {
		raw     string
		parts   int
		problem string
	}{
		"large":     {strings.Repeat("x", 1<<20+1), 0, "more than 1048576 bytes of user data"},
		"bomb":      {string(bomb), 0, "compressed user data: too large when decompressed"},
		"part bomb": {"MIME-Version: 1.0\n" + gz + string(bomb), 0, "MIME message that is not UTF-8"},
		"nested":    {"MIME-Version: 1.0\n" + nested, 0, "more than 5 nested multiparts"},
		"many":      {many, 10, "multipart of more than 10 parts"},
		"entries":   {entries, 10, "cloud-config-archive of more than 10 entries"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			parts, problems := Parse([]byte(tt.raw), small)
			if len(parts) != tt.parts || len(problems) == 0 || problems[len(problems)-1].Text != tt.problem && problems[0].Text != tt.problem {
				t.Errorf("%d parts, problems %+v", len(parts), problems)
			}
		})
	}
	raws := [][]byte{[]byte("#!1"), []byte("#!2"), []byte(strings.Repeat("x", 1<<20-6))}
	parts, problems := ParseList(append(raws, []byte("#!4")), small)
	if len(parts) != 3 || len(problems) != 2 || parts[1].Filename != "part-002" {
		t.Errorf("%q, %+v", brief(parts)[:2], problems[1:])
	}
}

func TestForLaunchIndex(t *testing.T) {
	parts := []Part{{Filename: "all", LaunchIndex: -1}, {Filename: "0", LaunchIndex: 0}, {Filename: "1", LaunchIndex: 1}}
	if diff := cmp.Diff([]string{" all ", " 1 "}, brief(ForLaunchIndex(parts, 1))); diff != "" {
		t.Error(diff)
	}
}

func TestCleanFilename(t *testing.T) {
	for name, want := range map[string]string{
		"z script.sh": "zscript.sh", "../../etc/passwd": ".._.._etc_passwd", "..": "part", ".": "part", "": "part", "é/": "_", "...": "...",
		"a\x00b\n": "ab", strings.Repeat("x", 300): strings.Repeat("x", 200),
	} {
		if got := CleanFilename(name); got != want {
			t.Errorf("%q: %q", name, got)
		}
	}
}

func TestMultipartGivesThePartsBack(t *testing.T) {
	for _, g := range goldenCases(t) {
		parts, _ := Parse(g.Input, Options{})
		parts = slices.DeleteFunc(parts, func(p Part) bool { return p.Type == TypeArchive })
		again, problems := Parse(Multipart(parts), Options{})
		if len(again) != len(parts) && len(parts) > 0 {
			t.Fatalf("%s: %d parts became %d: %+v", g.Name, len(parts), len(again), problems)
		}
		for i, p := range parts {
			q := again[i]
			q.Headers, q.Line, p.Headers, p.Line = nil, 0, nil, 0
			if diff := cmp.Diff(p, q, cmpopts.EquateEmpty()); diff != "" && p.Type != "text/plain" {
				t.Errorf("%s: %s", g.Name, diff)
			}
		}
	}
}
