package cloudconfig

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// realPython asks the real cloud-init's modules.
const realPython = `
import json, logging, os, sys, tempfile
sys.path.append(sys.argv[1] + "/usr/lib/python3/dist-packages")
from cloudinit import safeyaml, util
from cloudinit.cmd.main import parse_cmdline_url
from cloudinit.handlers.cloud_config import CloudConfigPartHandler
logging.disable(logging.CRITICAL)
class Paths:
    def get_ipath(self, name): return None
def parts(case):
    h = CloudConfigPartHandler(Paths())
    h.handle_part(None, "__begin__", None, None, None, None)
    for p in case["Parts"]:
        h.handle_part(None, p["Type"], "p", p["Body"], None, {"Merge-Type": p["How"]})
    return "" if h.cloud_buf is None else safeyaml.dumps(h.cloud_buf)
def combine(case):
    return safeyaml.dumps(util.mergemanydict([util.load_yaml(p["Body"], default={}) for p in case["Parts"]]))
def system(case):
    builtin, main, one, two, runtime, line = [p["Body"] for p in case["Parts"]]
    with tempfile.TemporaryDirectory() as d:
        os.mkdir(d + "/cloud.cfg.d")
        for name, text in (("cloud.cfg", main), ("cloud.cfg.d/1.cfg", one), ("cloud.cfg.d/2.cfg", two)):
            open(d + "/" + name, "w").write(text)
        load = lambda text: util.load_yaml(text, default={})
        return safeyaml.dumps(util.mergemanydict([load(builtin), util.read_conf_with_confd(d + "/cloud.cfg"),
            load(runtime), load(line)], reverse=True))
def line(case):
    text = case["Parts"][0]["Body"]
    try:
        key, url = parse_cmdline_url(text)
    except KeyError:
        key, url = "", ""
    return "%s %s\n%s" % (key, "" if url is True else url, util.read_cc_from_cmdline(text))
out = []
for case in json.load(sys.stdin):
    try:
        out.append({"Want": globals()[case["Ask"]](case)})
    except Exception as e:
        out.append({"Error": "%s: %s" % (type(e).__name__, e)})
json.dump(out, sys.stdout)
`

type realPart struct{ Type, How, Body string }

type realCase struct {
	Ask         string
	Parts       []realPart
	Want, Error string
}

// askReal fills in what the real cloud-init says.
func askReal(t *testing.T, cases []realCase) {
	t.Helper()
	tree := exec.Command("../../test/debian-tree")
	var said bytes.Buffer
	tree.Stderr = &said
	root, err := tree.Output()
	if tree.ProcessState != nil && tree.ProcessState.ExitCode() == 2 {
		t.Skip(said.String())
	}
	if err != nil {
		t.Fatalf("debian-tree: %v\n%s", err, &said)
	}
	in, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/usr/bin/python3", "-c", realPython, strings.TrimSpace(string(root)))
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var answers []realCase
	if err := json.Unmarshal(out, &answers); err != nil || len(answers) != len(cases) {
		t.Fatalf("%d answers to %d cases: %v", len(answers), len(cases), err)
	}
	for i, a := range answers {
		cases[i].Want, cases[i].Error = a.Want, a.Error
	}
}

// ours is the same by this package.
func (c realCase) ours(t *testing.T) (string, error) {
	var docs []*Node
	for _, p := range c.Parts {
		n, err := Parse([]byte(p.Body))
		if c.Ask != "parts" && c.Ask != "line" && err != nil {
			t.Fatalf("%q: %v", p.Body, err)
		}
		docs = append(docs, n)
	}
	switch c.Ask {
	case "parts":
		return c.merged(), nil
	case "combine":
		n, err := Combine(docs...)
		return string(Dump(n)), err
	case "system":
		s := System{BuiltIn: docs[0], Main: docs[1], Directory: docs[2:4], Runtime: docs[4], CommandLine: docs[5]}
		n, err := s.Combine()
		return string(Dump(n)), err
	}
	option, address := CommandLineURL(c.Parts[0].Body)
	return option + " " + address + "\n" + CommandLine(c.Parts[0].Body), nil
}

// merged goes on after a bad part, as the handler does.
func (c realCase) merged() string {
	var doc *Node
	for _, p := range c.Parts {
		var next *Node
		var err error
		if p.Type == "text/cloud-config-jsonp" {
			next, err = PatchPart(doc, []byte(p.Body))
		} else {
			var n *Node
			if n, err = ParseMap([]byte(p.Body)); err == nil {
				next, err = MergePart(doc, n, p.How)
			}
		}
		if err == nil {
			doc = next
		} else if doc == nil { // the handler begins with an empty map
			doc = NewMap()
		}
	}
	if doc == nil {
		return ""
	}
	return string(Dump(doc))
}

func TestAsRealCloudInit(t *testing.T) {
	cases := append(writtenCases(), generatedCases()...)
	askReal(t, cases)
	faults := 0
	for _, c := range cases {
		got, err := c.ours(t)
		if c.Error != "" {
			faults++
		}
		if c.Error == "" && (err != nil || got != c.Want) || c.Error != "" && err == nil {
			t.Errorf("%s %q\n got %q, %v\nwant %q, %s", c.Ask, c.Parts, got, err, c.Want, c.Error)
		}
	}
	t.Logf("%d cases, %d of them faulty", len(cases), faults)
}

// generator makes documents of few names and values, so that they meet.
type generator struct{ *rand.Rand }

func (g generator) pick(words ...string) string { return words[g.IntN(len(words))] }

func (g generator) value(depth int) string {
	if depth > 0 {
		switch g.IntN(3) {
		case 0:
			return "{" + g.pick("a", "b", "c") + ": " + g.value(depth-1) + ", " + g.pick("d", "e") + ": " + g.value(depth-1) + "}"
		case 1:
			return "[" + g.value(depth-1) + ", " + g.value(depth-1) + "]"
		}
	}
	return g.pick("1", "x", "yes", "null", "''", "[]", "{}", "text", "2.5")
}

func (g generator) how() string {
	list := "list(" + g.pick("", "append", "prepend", "replace", "no_replace", "append,no_replace") + g.pick("", ",recurse_str", ",recurse_list", ",recurse_dict", ", recurse_array , recurse_dict,recurse_str") + ")"
	dict := "dict(" + g.pick("", "replace", "no_replace", "allow_delete", "allow_delete,replace") + g.pick("", ",recurse_str", ",recurse_list", ",recurse_array,recurse_str") + ")"
	str := g.pick("str()", "str(append)", "STR(Append)", "m_str(append)")
	switch g.IntN(6) {
	case 0:
		return list + "+" + dict + "+" + str
	case 1:
		return dict + " + " + list
	case 2:
		return g.pick("dict()", str, list, "", "bad", "list(append", "tuple()")
	}
	return dict + "+" + list + "+" + str
}

func (g generator) doc() string {
	var b strings.Builder
	for _, key := range []string{"a", "b", "c", "d"} {
		if g.IntN(3) > 0 {
			fmt.Fprintf(&b, "%s: %s\n", key, g.value(2))
		}
	}
	switch g.IntN(6) {
	case 0:
		fmt.Fprintf(&b, "merge_how: %q\n", g.how())
	case 1:
		fmt.Fprintf(&b, "merge_type: %q\n", g.how())
	case 2:
		b.WriteString("merge_how: [{name: dict, settings: [no_replace, recurse_list]}, {name: list, settings: [append]}]\n")
	case 3:
		b.WriteString("merge_how: [[list, append], [dict, recurse_array], [str]]\nmerge_type: dict(replace)\n")
	}
	return b.String()
}

func (g generator) patch() string {
	path := func() string {
		return g.pick("", "/a", "/b", "/c/a", "/d/0", "/a/-", "/b/1", "/a/a/b", "/zz", "/a/0/0", "/~0", "/b/01", "a", "/a~2", "/")
	}
	var ops []string
	for range 1 + g.IntN(2) {
		value := g.pick("1", "null", `"x"`, `[1, "y"]`, `{"a": 1}`, "1.0", "true")
		ops = append(ops, fmt.Sprintf(`{"op": %q, "path": %q, "from": %q, "value": %s}`,
			g.pick("add", "add", "remove", "replace", "test", "move", "copy", "foo"), path(), path(), value))
	}
	return g.pick("#cloud-config-jsonp\n", "", "\n#cloud-config-jsonp ") + "[" + strings.Join(ops, ",") + "]"
}

func generatedCases() []realCase {
	g := generator{rand.New(rand.NewPCG(3, 4))}
	var out []realCase
	for range 700 {
		c := realCase{Ask: "parts"}
		for range 1 + g.IntN(4) {
			p := realPart{Type: "text/cloud-config", Body: "#cloud-config\n" + g.doc()}
			if g.IntN(3) == 0 {
				p = realPart{Type: "text/cloud-config-jsonp", Body: g.patch()}
			}
			if g.IntN(3) == 0 {
				p.How = g.how()
			}
			c.Parts = append(c.Parts, p)
		}
		out = append(out, c)
	}
	for i := range 300 {
		c := realCase{Ask: []string{"combine", "system"}[i%2]}
		for range 6 {
			c.Parts = append(c.Parts, realPart{Body: g.doc()})
		}
		out = append(out, c)
	}
	return out
}

func writtenCases() []realCase {
	var out []realCase
	for _, line := range []string{
		"", "ro quiet", "cc: ssh_import_id: [smoser, kirkland]\\n", "ro cc: a: 1 end_cc quiet cc:b: 2\\nc: 3", "cc:a: %5Bx%5D end_cc",
		"cc: a%zz%4 end_cc end_cc cc:", "cc:cc: x", "xcc:y", "cc: %e9 end_cc", "cloud-config-url=http://a/b url=http://c", "url=http://c ro", "url", "cloud-config-url= x",
		"cloud-config-url=http://a?x=1&y=2", "url=a url=b", "cc: a: b end_cccc: c: d",
	} {
		out = append(out, realCase{Ask: "line", Parts: []realPart{{Body: line}}})
	}
	const base = "a: {b: [1, 2], c: x}\nm/n: 1\n"
	for _, patch := range []string{
		`[{"op":"test","path":"/a/b/0","value":1.0},{"op":"add","path":"/a/b/1","value":9}]`, `[{"op":"test","path":"/a/c","value":"y"},{"op":"add","path":"/q","value":9}]`,
		`[{"op":"move","from":"/a","path":"/a/c"}]`, `[{"op":"move","from":"/a/b","path":"/q"},{"op":"copy","from":"/q/0","path":"/a/z"}]`, `[{"op":"remove","path":"/m~1n"}]`,
		`[{"op":"replace","path":"","value":{"z":1}}]`, `[{"op":"add","path":"/a/b/3","value":1}]`, `[{"op":"add","path":"/a/b/2","value":1}]`, `[{"op":"add","path":"/a/b/-","value":1}]`,
		`[{"op":"remove","path":"/a/b/-"}]`, `[{"op":"remove","path":"/a/c/x"}]`, `{}`, `[]`, `[1]`, `nope`, ``, `[{"op":"add","path":"/x"}]`, `[{"path":"/x","value":1}]`, `[{"op":"add","value":1}]`,
		`[{"op":"copy","path":"/x"}]`, `[{"op":"add","path":5,"value":1}]`, `[{"op":"test","path":"/a","value":{"c":"x","b":[1,2]}},{"op":"add","path":"/ok","value":true}]`, `[{"op":"remove","path":""}]`,
		`[{"op":"move","from":"/a","path":"/a"}]`, `[{"op":"replace","path":"/a/b/-","value":1}]`, `[{"op":"add","path":"","value":[1]}]`, `[{"op":"test","path":"/nope","value":null}]`,
	} {
		out = append(out, realCase{Ask: "parts", Parts: []realPart{{Type: "text/cloud-config", Body: base}, {Type: "text/cloud-config-jsonp", Body: "#cloud-config-jsonp\n" + patch}, {Type: "text/cloud-config", Body: "end: 1"}}})
	}
	return out
}
