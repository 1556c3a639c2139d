package jinja

import (
	"bytes"
	"encoding/json"
	"math/big"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// rendering is what one engine makes of a template: a text, or a line with a
// fault.
type rendering struct {
	Text, Error string
	Line        int
}

// realEngine renders with Jinja as cloudinit/templater.py does, or plainly.
const realEngine = `
import json, sys, traceback
import jinja2
class Missing(jinja2.DebugUndefined):
    def __str__(self):
        return "CI_MISSING_JINJA_VAR/%s" % self._undefined_name
    def __sub__(self, other):
        raise TypeError("subtraction")
asked = json.load(sys.stdin)
out = []
for text in asked["Templates"]:
    try:
        how = {"undefined": Missing, "trim_blocks": True} if asked["CloudInit"] else {}
        t = jinja2.Template(text, extensions=["jinja2.ext.do"], **how)
        out.append({"Text": t.render(**json.loads(asked["Vars"]))})
    except jinja2.TemplateSyntaxError as e:
        out.append({"Error": "%s: %s" % (type(e).__name__, e), "Line": e.lineno})
    except Exception as e:
        lines = [f.lineno for f in traceback.extract_tb(e.__traceback__) if f.filename in ("<template>", "<unknown>")]
        out.append({"Error": "%s: %s" % (type(e).__name__, e), "Line": lines[-1] if lines else 0})
json.dump(out, sys.stdout)
`

// python renders all templates at once.
func python(t testing.TB, vars string, cloudInit bool, templates []string) []rendering {
	t.Helper()
	const python = "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import jinja2").Run(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("python3-jinja2 is missing")
		}
		t.Skip("needs python3-jinja2")
	}
	in, err := json.Marshal(map[string]any{"Vars": vars, "CloudInit": cloudInit, "Templates": templates})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-c", realEngine)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	data, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var out []rendering
	if err := json.Unmarshal(data, &out); err != nil || len(out) != len(templates) {
		t.Fatalf("%d answers to %d templates: %v", len(out), len(templates), err)
	}
	return out
}

// fromJSON makes values of JSON, keys in order.
func fromJSON(t testing.TB, d *json.Decoder) any {
	t.Helper()
	token, err := d.Token()
	if err != nil {
		t.Fatal(err)
	}
	switch v := token.(type) {
	case json.Delim:
		list, dict := &List{}, &Dict{}
		for d.More() {
			item := fromJSON(t, d)
			if v == '[' {
				list.Items = append(list.Items, item)
				continue
			}
			dict.Set(item.(string), fromJSON(t, d))
		}
		if _, err := d.Token(); err != nil {
			t.Fatal(err)
		}
		if v == '[' {
			return list
		}
		return dict
	case json.Number:
		if i, ok := new(big.Int).SetString(v.String(), 10); ok {
			return i
		}
		f, err := v.Float64()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	return token
}

func variables(t testing.TB) (*Dict, string) {
	t.Helper()
	data, err := os.ReadFile("testdata/vars.json")
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return fromJSON(t, d).(*Dict), string(data)
}

// corpus are the templates of testdata: whole ones, with a "%%" line between
// them, and expressions, one a line.
func corpus(t testing.TB) []string {
	t.Helper()
	data, err := os.ReadFile("testdata/corpus.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Split(string(data), "\n%%\n")
	data, err = os.ReadFile("testdata/expressions.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		all = append(all, "{{ "+strings.TrimSuffix(line, "\n")+" }}")
	}
	if len(all) < 1000 {
		t.Fatalf("%d templates", len(all))
	}
	return append(all, oddities()...)
}

// oddities cannot be written in a text file.
func oddities() []string {
	return []string{
		"a\r\nb\rc\n", "{% raw %}\r\n{{ a }}\r\n{% endraw %}\r\n", "a\n\n", "\n", "", "{{ 'a\r\nb' }}", "{{ 'x' }}\n", "{{ 'x' }}\n\n",
		"{{ n }}\t{{- n }}", "{{ '\\x41\\u00e9\\t\\q\\'' }}", "é{{ 'é' }}", "{{ \"\\\\\" }}",
	}
}

func asCloudInit() Options { return Options{TrimBlocks: true, Missing: "CI_MISSING_JINJA_VAR/"} }

func render(t testing.TB, text string, opts Options) rendering {
	t.Helper()
	vars, _ := variables(t)
	tmpl, err := Parse(text, opts)
	var out string
	if err == nil {
		out, err = tmpl.Render(vars)
	}
	if err != nil {
		return rendering{Error: err.Error(), Line: err.(*Error).Line}
	}
	return rendering{Text: out}
}

func (r rendering) differs(want rendering) bool {
	return r.Text != want.Text || (r.Error == "") != (want.Error == "") || want.Line != 0 && r.Line != want.Line
}

func TestAsJinja2(t *testing.T) {
	compare(t, asCloudInit(), append(corpus(t), generated(1000)...))
}

func TestAsPlainJinja2(t *testing.T) { compare(t, Options{}, corpus(t)) }

func compare(t *testing.T, opts Options, templates []string) {
	t.Helper()
	_, vars := variables(t)
	failed := 0
	for i, want := range python(t, vars, opts.TrimBlocks, templates) {
		if want.Error != "" {
			failed++
		}
		if got := render(t, templates[i], opts); got.differs(want) {
			t.Errorf("%s\n got %+v\nwant %+v", templates[i], got, want)
		}
	}
	t.Logf("%d templates, %d of them faulty", len(templates), failed)
}

// generated are templates made of random expressions, always the same.
func generated(n int) []string {
	rnd := rand.New(rand.NewPCG(1, 2))
	var out []string
	for range n {
		out = append(out, "{{ "+randomExpr(rnd, 3)+" }}")
	}
	return out
}

func randomExpr(rnd *rand.Rand, depth int) string {
	pick := func(words string) string {
		all := strings.Split(words, " ")
		return all[rnd.IntN(len(all))]
	}
	sub := func() string { return randomExpr(rnd, depth-1) }
	if depth == 0 {
		return pick("n zero neg pi half yes nope nil empty s S uni multi l words nested mixed d nothing missing 1 0 -1 2.0 'a' [] {} () (1,2) none true users.0 v1.nosuch html")
	}
	switch rnd.IntN(7) {
	case 0:
		return sub() + " " + pick("+ - * / // % ~ == != < <= > >= in and or") + " " + sub()
	case 1:
		return "(" + sub() + ")|" + pick("abs capitalize count default dictsort e first float int join last length list lower max min reverse|list round sort string sum title tojson trim unique|list upper urlencode wordcount items|list indent batch(2)|list slice(2)|list truncate(5) center(7) filesizeformat map('string')|list select|list")
	case 2:
		if rnd.IntN(2) == 0 {
			return randomExpr(rnd, 0) + ".a"
		}
		return "(" + sub() + ")[" + pick("0 -1 'a' n 'name' 9") + "]"
	case 3:
		return "(" + sub() + ") is " + pick("defined none number string mapping sequence iterable odd even lower upper boolean integer float true false")
	case 4:
		return "[" + sub() + ", " + sub() + "]"
	case 5:
		return "(" + sub() + " if " + sub() + " else " + sub() + ")"
	}
	return pick("not - ") + "(" + sub() + ")"
}
