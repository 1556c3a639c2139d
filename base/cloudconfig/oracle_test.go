package cloudconfig

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// typed writes a value with its types, the same text as typedPython.
func typed(n *Node) string {
	var s strings.Builder
	switch n.Kind {
	case KindList:
		for _, item := range n.items {
			s.WriteString(" " + typed(item))
		}
		return "list(" + s.String() + ")"
	case KindMap:
		for _, p := range n.pairs {
			s.WriteString(" " + typed(p.Key) + "=" + typed(p.Value))
		}
		return "map(" + s.String() + ")"
	case KindString:
		for _, r := range n.text {
			fmt.Fprintf(&s, "%x.", r)
		}
		return "string(" + s.String() + ")"
	case KindBinary:
		return "binary(" + base64.StdEncoding.EncodeToString([]byte(n.text)) + ")"
	}
	return n.Kind.String() + "(" + n.String() + ")"
}

const typedPython = `
import base64, datetime, json, sys, yaml
def typed(v):
    if v is None: return "null(None)"
    if isinstance(v, bool): return "boolean(%s)" % v
    if isinstance(v, int): return "integer(%d)" % v
    if isinstance(v, float): return "float(%r)" % v
    if isinstance(v, str): return "string(%s)" % "".join("%x." % ord(c) for c in v)
    if isinstance(v, bytes): return "binary(%s)" % base64.b64encode(v).decode()
    if isinstance(v, (datetime.date, datetime.datetime)): return "time(%s)" % v
    if isinstance(v, (list, tuple)): return "list(%s)" % "".join(" " + typed(i) for i in v)
    if isinstance(v, set): return "list(%s)" % "".join(" " + typed(i) for i in sorted(v))
    return "map(%s)" % "".join(" %s=%s" % (typed(k), typed(w)) for k, w in v.items())
class Loader(yaml.SafeLoader): pass
out = []
for text in json.load(sys.stdin):
    try:
        v = yaml.load(text, Loader=Loader)
        out.append({"typed": typed(v), "dump": yaml.dump(v, line_break="\n", indent=4, explicit_start=True,
            explicit_end=True, default_flow_style=False, Dumper=yaml.dumper.SafeDumper)})
    except Exception as e:
        mark = getattr(e, "context_mark", None) or getattr(e, "problem_mark", None)
        out.append({"error": "%s: %s" % (type(e).__name__, str(e).replace("\n", " ")),
            "line": mark and mark.line + 1, "column": mark and mark.column + 1})
json.dump(out, sys.stdout)
`

type verdict struct {
	Typed, Dump, Error string
	Line, Column       int // of the error
}

// pyyaml asks Debian's PyYAML about texts.
func pyyaml(t testing.TB, texts []string) []verdict {
	t.Helper()
	const python = "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import yaml").Run(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("python3-yaml is missing")
		}
		t.Skip("needs python3-yaml")
	}
	in, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-c", typedPython)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var verdicts []verdict
	if err := json.Unmarshal(out, &verdicts); err != nil || len(verdicts) != len(texts) {
		t.Fatalf("%d verdicts on %d texts: %v", len(verdicts), len(texts), err)
	}
	return verdicts
}

// Every tricky scalar is tried plain, quoted, as a key, in a flow list, and
// with tags; documents as they are.
func TestAsPyYAML(t *testing.T) {
	texts := documents()
	for _, s := range scalars() {
		texts = append(texts, s, "k: "+s, "- "+s, "["+s+"]", s+": v", "{"+s+": 1}", "'"+s+"'", `"`+s+`"`, "|\n "+s, ">-\n "+s,
			"! "+s, "!!str "+s, "k: !!str '"+s+"'")
	}
	for i, v := range pyyaml(t, texts) {
		got := verdict{}
		n, err := Parse([]byte(texts[i]))
		if err != nil {
			got.Error = err.Error()
		} else {
			got.Typed = typed(n)
		}
		if got.Typed != v.Typed && !departs(texts[i], v, got) {
			t.Errorf("%q\n got %+v\nwant %+v", texts[i], got, v)
		}
	}
}

// What both read, both write the same.
func TestDumpsAsPyYAML(t *testing.T) {
	texts := append(documents(), dumps()...)
	for _, s := range scalars() {
		texts = append(texts, s, "k: '"+s+"'", "- - '"+s+"'", "{k: {'"+s+"': [v]}}")
	}
	compared := 0
	for i, v := range pyyaml(t, texts) {
		n, err := Parse([]byte(texts[i]))
		if err != nil || v.Error != "" || typed(n) != v.Typed || strings.Contains(texts[i], "!!set") {
			continue
		}
		compared++
		got := string(Dump(n))
		if got != v.Dump {
			t.Errorf("%q\n got %q\nwant %q", texts[i], got, v.Dump)
		}
		if again, err := Parse([]byte(got)); err != nil || len(again.Pairs()) < 2 && typed(again) != typed(n) {
			t.Errorf("%q: dump %q does not come back: %v", texts[i], got, err)
		}
	}
	if compared < 1000 {
		t.Errorf("only %d texts compared", compared)
	}
}

// dumps are documents whose writing is tricky: random texts of characters
// that matter, at several places and lengths.
func dumps() []string {
	out := []string{
		"a: &x [1]\nb: *x\nc: &y {k: *x}\nd: *y\n", "- &a {}\n- *a\n- &b []\n- *b\n", "- &t 2001-01-01\n- *t\n", "? &t 2001-01-01\n: *t\n",
		"a: {b: {c: [1, [2, {d: e}]]}}\n", "[[[]], {}, [{}]]", "{}", "[]", "? " + strings.Repeat("k", 200) + "\n: [a, b]\n", "? " + strings.Repeat("k", 200) + "\n: {a: b}\n",
		"? |\n  a\n  b\n: {c: d}\n", "{b: 1, a: 2, B: 3, é: 4}", "{2: a, 1: b, 1.5: c, true: d}", "{2: a, x: b, 1: c}", "? !!binary aGVsbG8=\n: x\n", "a: !!binary " + strings.Repeat("YWJj", 60) + "\n",
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	letters := []rune("aaaaaaab    \n\n'\"\\:#-é\t\u2028😀,[")
	for i := range 1500 {
		text := make([]rune, 1+rnd.IntN(20+i/5))
		for j := range text {
			text[j] = letters[rnd.IntN(1+rnd.IntN(len(letters)))]
		}
		s, _ := json.Marshal(string(text))
		switch i % 4 {
		case 0:
			out = append(out, "["+string(s)+"]")
		case 1:
			out = append(out, "{k: {l: "+string(s)+"}}")
		case 2:
			out = append(out, "[[{"+string(s)+": 1}]]")
		case 3:
			out = append(out, string(s))
		}
	}
	return out
}

// What people get wrong is shown where cloud-init shows it.
func TestMistakesAsPyYAML(t *testing.T) {
	texts := []string{
		"#cloud-config\nusers: [unclosed\n", "a: 1\n b: 2\n", "a:\n\t- b\n", "a: b: c\n", "users:\n- name: x\n  y\n- z\n", "a: 'x\nb: 1\n", "a: \"\\q\"\n", "a: *x\n", "a: @x\n", "a: %x\n",
		"a: {b: 1\nc: 2\n", "- a\nb: 1\n", "a:\n  b: 1\n c: 2\n", "runcmd:\n - a: b: c\n", "a: !foo x\n", "a: |x\n  b\n", "a: `x`\n", "key\nother: 1\n", "a: [b\n", "a: ]\n", "'", "\"a", "a\nb: 1\n", "\ta: 1\n", "a: 'b': c\n",
	}
	for i, v := range pyyaml(t, texts) {
		_, err := Parse([]byte(texts[i]))
		own, ok := err.(*Error)
		if !ok || own.Line != v.Line || own.Column != v.Column {
			t.Errorf("%q: %v, want line %d column %d: %s", texts[i], err, v.Line, v.Column, v.Error)
		}
	}
}

// Random documents of pieces that matter, always the same.
func TestGeneratedAsPyYAML(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	var texts []string
	for range 2000 {
		texts = append(texts, randomDocument(rnd), randomBlock(rnd, 0, 3))
	}
	faulty := 0
	for i, v := range pyyaml(t, texts) {
		got := verdict{}
		if n, err := Parse([]byte(texts[i])); err != nil {
			got.Error = err.Error()
		} else {
			got.Typed = typed(n)
		}
		if v.Error != "" {
			faulty++
		}
		if got.Typed != v.Typed && !departs(texts[i], v, got) {
			t.Errorf("%q\n got %+v\nwant %+v", texts[i], got, v)
		}
	}
	t.Logf("%d documents, %d of them faulty", len(texts), faulty)
}

// randomDocument is lines of keys, items, scalars, anchors and tags.
func randomDocument(rnd *rand.Rand) string {
	words := scalars()
	if rnd.IntN(3) > 0 {
		words = slices.DeleteFunc(words, func(w string) bool { return strings.ContainsAny(w, ":#[]{}'\"&*!|>%@`?-\t, ") })
	}
	pick := func(from ...string) string { return from[rnd.IntN(len(from))] }
	scalar := func() string {
		w := words[rnd.IntN(len(words))]
		switch rnd.IntN(8) {
		case 0:
			return "'" + strings.ReplaceAll(w, "'", "''") + "'"
		case 1:
			return pick("!!str ", "!!int ", "!!float ", "!!bool ", "!!null ", "!!binary ", "!!timestamp ", "! ", "&x ", "&y ") + w
		case 2:
			return pick("*x", "*y", "[a, "+w+"]", "{a: "+w+"}", "{"+w+": b}", "[]", "{}", "# "+w, "|", ">-", "|2", "<<", "")
		}
		return w
	}
	var b strings.Builder
	indent := 0
	for range 1 + rnd.IntN(6) {
		b.WriteString(strings.Repeat(" ", indent))
		switch rnd.IntN(6) {
		case 0, 1:
			b.WriteString(pick("a", "b", "c", "1", "yes", "<<", "&x k", "'q'", "? d") + ": " + scalar())
		case 2:
			b.WriteString("- " + scalar())
		case 3:
			b.WriteString(pick("a:", "b:", "-", "- a:", "- - b", "c: &y", "e: !!omap", "<<: *y"))
			indent += 2
		case 4:
			b.WriteString(scalar())
		case 5:
			b.WriteString(pick("# c", "---", "...", "", "a: b # c", "a:b", "- ", ": v", "? k"))
			indent = max(indent-2, 0)
		}
		b.WriteString(pick("\n", "\n", "\n", "\n", "\r\n", "\n\n", " \n"))
	}
	return b.String()
}

// randomBlock is a nested map or list that is well formed but for its scalars.
func randomBlock(rnd *rand.Rand, indent, depth int) string {
	words := scalars()
	var b strings.Builder
	list := rnd.IntN(3) == 0
	for i := range 1 + rnd.IntN(4) {
		b.WriteString(strings.Repeat(" ", indent))
		if list {
			b.WriteString("-")
		} else {
			fmt.Fprintf(&b, "%s%d:", []string{"k", "x y", "", "yes", "1.", "'q'"}[rnd.IntN(6)], i)
		}
		if depth > 0 && rnd.IntN(3) == 0 {
			b.WriteString("\n" + randomBlock(rnd, indent+2, depth-1))
			continue
		}
		w := words[rnd.IntN(len(words))]
		switch rnd.IntN(4) {
		case 0:
			w = "'" + strings.ReplaceAll(w, "'", "''") + "'"
		case 1:
			w = strconv.Quote(w)
		case 2:
			w = "plain" + w
		}
		b.WriteString(" " + w + "\n")
	}
	return b.String()
}

// departs lists where the library's scanner and PyYAML's part, the guest
// gaining nothing from either: tabs as blanks, the empty key, keys longer than
// 1,024 characters are taken here and refused there; surrogate pairs (text that
// Python could not write to a file), a comment right behind a quote one
// where the text of a block scalar would stand and a map that merges a list
// that it is in are refused here.
func departs(text string, v, got verdict) bool {
	for _, ours := range []string{"comment without preceding whitespace", "expected a new document", "merges itself"} {
		if strings.Contains(got.Error, ours) {
			return true
		}
	}
	for _, theirs := range []string{`'\t' that cannot start`, "found ':'", "but got '?'"} {
		if strings.Contains(v.Error, theirs) {
			return true
		}
	}
	return slices.Contains([]string{
		": a\n", `a: "\ud83d\ude00"`, "a: 'b'#c\n", "a: &x:y b\n", "{a\u2028b: 1}", "{a\u0085b: 1}",
		strings.Repeat("k", 1100) + ": 1\n", "'" + strings.Repeat("k", 1100) + "': 1\n",
		"[!]", "[!!null]", "[?]", "{?: 1}", "[?a]", "{?a: 1}",
	}, text)
}

func scalars() []string {
	return []string{
		"yes", "Yes", "YES", "yEs", "no", "No", "on", "On", "ON", "oN", "off", "OFF", "true", "TRUE", "tRue", "y", "Y", "n", "N",
		"null", "Null", "NULL", "nULL", "~", "", "None", "nil",
		"0", "-0", "+0", "1", "+1", "-1", "007", "0644", "0o644", "08", "09", "0_7", "0x1F", "0X1F", "0xg", "0b101", "0b12", "0b", "0x", "-0x1f",
		"1_000", "_1", "1_", "0_", "1__0", "0b_", "0x_", "-0b1", "12:30:45", "1:30", "-1:30", "01:30", "190:20:30", "1:60", "1:2:3:4", "60:00", "22:22",
		"9223372036854775807", "9223372036854775808", "-9223372036854775809", "123456789012345678901234567890",
		"1.5", "1.", "1._", ".5", "-.5", "+.5", "-1.5", "1e5", "1E5", "1.0e5", "1.0e+5", "1.5E-3", "1.e+5", ".5e+3", "1_0.5", "._5", ".", "..",
		".inf", "-.inf", "+.inf", ".Inf", ".INF", ".iNF", ".nan", ".NaN", ".NAN", ".nAN", "-.nan", "1:30.5", "1:2:3.", "1.0e+400", "1e400", "0.1", "100000000000000000.0", "0.00001", "1.0e+16", "123456789.123456789",
		"2001-01-01", "2001-1-1", "2001-13-01", "2001-02-30", "0000-01-01", "2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43.10 -5", "2001-12-15 2:59:43.10",
		"2001-12-14T21:59:43Z", "2001-12-14 21:59:43 +01:30", "2001-12-14 25:00:00", "2001-12-14 21:59:43.123456789", "2001-12-14 21:59:43.", "2001-12-14 21:59:43 +24:00", "2001-12-14 1:1:1", "2001-12-14 1:01:01 -23:59", "2024-02-29", "2023-02-29",
		"=", "<<", "<", "==", "a=b", "@a", "`a", "%a", "a%b", "&a", "*a", "!a", "|", ">", "-", "- a", "-a", "--", "---", "...", "--- a", "?", "? a", "?a", ":", ":a", "a:", "a: b", "a:b", "a :b", "#", "#a", "a#b", "a #b",
		"a, b", "a,b", "[", "]", "[a", "{", "}", "{a", "a]", "a}", "'", "a'b", `"`, `a"b`, "\\", "a\\nb", "\\x41", "\\u00e9", "\\q", "é", "中文", "😀", "\u00a0", "a\u2028b", "a\u0085b", "\ufeffa", "a\ufeffb", "a\tb", "\ta", "a\t",
		"http://example.com:80/x?y=z#f", "10.0.0.1", "1.2.3", "52:54:00:12:34:56", "00:11:22:33:44:55", "1:1", "a b c", " a", "a ", "$6$abc$def", "*", "**", "!", "!!", "!!int", "!!null", "&x", "&x y",
	}
}

func documents() []string {
	return []string{
		"", "\n", "# only a comment", "---", "---\n...", "...", "a: 1\n...\n", "a: 1\n---\nb: 2\n", "---\n---\n", "a: 1\n...\nb: 2\n", "%YAML 1.1\n---\na: 1\n", "%YAML 1.2\n---\na: 1\n", "%YAML 2.0\n---\na\n", "%FOO x\n---\na\n", "%TAG ! tag:yaml.org,2002:\n---\n!int 5\n",
		"#cloud-config\nhostname: a\n", "a: 1\r\nb: 2\r\n", "a: 1\rb: 2\r", "\ufeffa: 1\n",
		"a: 1\na: 2\nb: 3\n", "a: 1\nb: 2\na: 3\n", "1: a\ntrue: b\n1.0: c\n", "0: a\nfalse: b\nno: c\n", "? [a]\n: b\n", "? {a: b}\n: c\n", "? a\n: b\n? c\n", "? |\n  long\n: b\n", "{a, b: c}", "{a: , b: }", "[a, , b]", "[a, b, ]", "{a: 1, }", "[a: 1]", "[a: 1, b: 2]", "[? a : b]",
		"{a:1}", `{"a":1}`, "{'a':1}", "{a:1, b:2}", "[a:b]", "{a: b:c}", "a: b: c", "a: 'b': c", "- - a\n  - b\n- c", "-\n- a\n-", "a:\n- b\n- c\n", "a:\n  - b\n", "a:\n\tb: c\n", "a:\n  b: c\n d: e\n", "a:\n    b: 1\n  c: 2\n", " a: 1\nb: 2\n", "a: 1\n b: 2\n", "a:  b\n   c\n", "a: b\nc\n",
		"a: |\n  x\n  y\n", "a: |-\n  x\n  y\n", "a: |+\n  x\n\n", "a: |2\n   x\n", "a: |\n\n  x\n", "a: >\n  x\n  y\n\n  z\n", "a: >\n  x\n   y\n  z\n", "a: >-\n  x\n", "a: >+\n  x\n\n\nb: 1\n", "a: |\n", "a: |\nb: 1", "a: | # c\n  x\n", "a: |x\n", "a: |\n  x\n y\n", "a: |\n\tx\n", "a: |\n  x\n\ty\n",
		"a: 'x\n  y'\n", "a: 'x\n\n  y'\n", "a: \"x\n  y\"\n", "a: \"x\\\n  y\"\n", "a: \"\\/\"\n", `a: "\ud83d\ude00"`, `a: "\U0001F600"`, `a: "\x00"`, `"\a\b\e\f\n\r\t\v\0\ \"\\\N\_\L\P"`, `"\`, `'`, `"a`, "'a''b'", "a: x\n  y\n  z\n", "a: x\n\n  y\n", "a: 'b'c\n", "a: \"b\" #c\n", "a: 'b'#c\n",
		"a: &x 1\nb: *x\n", "a: &x {k: 1}\nb: *x\n", "a: *x\n", "a: &x 1\nb: &x 2\nc: *x\n", "&a b: 1\n*a : 2\n", "*a : 2\n", "{*a : 2}", "a: &x\nb: *x\n", "- &x [1]\n- *x\n", "a: &x !!str 5\nb: *x\n", "a: !!str &x 5\n", "a: &x &y b\n", "a: & b\n", "a: &é b\n", "a: &x:y b\n",
		"a: &d {x: 1, y: 2}\nb:\n  <<: *d\n  y: 3\n", "b:\n  y: 3\n  <<: {x: 1, y: 2}\n", "<<: [{a: 1}, {a: 2, b: 3}]\n", "<<: {a: 1}\n<<: {a: 2}\n", "<<: 1\n", "<<: [1]\n", "<<: [[{a: 1}]]\n", "<<:\n", "'<<': {a: 1}\n", "!!merge k: {a: 1}\n", "a: &a {b: 1}\nc: &c {<<: *a, d: 2}\ne: {<<: *c, b: 9}\n", "- <<\n", "a: <<\n", "&a {x: &b {y: 1}, <<: *b}\n", "<<: !!set {a, b}\n", "{<<: {1: a}, true: b}", "<<: {=: 1}\n",
		"=: 1\n", "a: =\n", "'=': 1\n", "- =\n", "{=: {=: 2}}", "? =\n: 1",
		"!!int 5", "!!int '5'", "!!int \"0x1f\"", "!!int abc", "!!int 1:30", "!!float 1", "!!float 1.5", "!!float 1e5", "!!float 1:30", "!!float .inf", "!!float x", "!!bool yes", "!!bool y", "!!bool YeS", "!!null ''", "!!null x", "!!str", "!!str 5", "!!str [a]", "!!int [1]", "!!int", "!!float", "!!bool", "!!null",
		"!!timestamp 2001-01-01", "!!timestamp x", "!!timestamp '2001-01-01'", "!!timestamp 2001-1-1", "!!binary aGVsbG8=", "!!binary aGVsbG8", "!!binary |\n  aGVs\n  bG8=\n", "!!binary a", "!!binary ''", "!!binary é", "!!binary a=b=c=", "!!binary aGVsbG8=xyz", "!!binary =aGVs", "!!binary aG-_Vs",
		"!!seq [a]", "!!map {a: 1}", "!!seq {a: 1}", "!!map [a]", "!!seq a", "!!map a", "!!set {a, b}", "!!set [a]", "!!omap [a: 1, b: 2]", "!!omap [a]", "!!omap {a: 1}", "!!omap [{a: 1, b: 2}]", "!!pairs [a: 1, a: 2]", "!!foo a", "!foo a", "!foo [a]", "!foo {a: 1}", "!!python/tuple [a]", "!!python/object:os.system x", "!!yaml x", "!!merge x", "!!value x", "!<tag:yaml.org,2002:int> 5", "!<foo> 5", "!x!y 5", "! [a]", "! {a: 1}", "! a", "k: ! 5", "k: ! '5'",
		"- a\n-b\n", "-a: 1", "- a: 1\n  b: 2\n- c\n", "- a: 1\n b: 2\n", "a: - b\n", "a: [b\n", "a: [b\n]\n", "a: {b: [c, {d: e}]}\n", "a: [\n  b,\n  c\n]\n", "a: {\nb: c\n}\n", "{a: [}", "[a, b", "a: ]\n", "users:\n  - default\n  - name: x\n    sudo: ALL=(ALL) NOPASSWD:ALL\n", "runcmd:\n - [ ls, -l, / ]\n - [ sh, -xc, \"echo $(date) ': hello world!'\" ]\n - ls -l /root\n",
		"a: b # c\n", "a: b# c\n", "a: # c\n  b\n", "# x\na: 1\n# y\n", "a: 1 #\n", "a:#b\n", "a: '#b'\n", "? a\n", "? a\n? b\n", ": a\n", "? \n: \n", "a\nb\n", "a\n b\n", "a: 1\nb\n", "a:\n  b\n  c: 1\n", "'a': 1\n\"b\": 2\n", "'a' : 1\n", "a : 1\n", "a b: 1\n", "1.5: a\n", "2001-01-01: a\n", "~: a\n", "? ''\n: a\n", "'': a\n", "[]: a\n", "[]\n", "{}\n", "a: []\nb: {}\n", "--- a\n", "--- |\n a\n", "--- {a: 1}\n", "---a: 1\n", "--- a: 1\n", "a\n---\n", "\t\n", "\ta: 1\n", "a: \tb\n", "a:\tb\n", "-\ta\n", "a: b\t\n", "a: b \t # c\n", "[a,\tb]\n", "a: [\tb ]\n", "a: 1\n\t\n", "a:\n  - b\n\t- c\n",
		strings.Repeat("[", 90) + strings.Repeat("]", 90), strings.Repeat("k", 1100) + ": 1\n", strings.Repeat("k", 1000) + ": 1\n", "'" + strings.Repeat("k", 1100) + "': 1\n", "a:\x00b", "a: \x7f", "a: \u0080", "a: \ufffe", "a: \x1b[0m", "x: \U0010ffff",
	}
}
