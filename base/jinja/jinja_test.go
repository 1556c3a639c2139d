package jinja

import (
	"math/big"
	"strings"
	"testing"
	"time"
)

func TestErrorsNameTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"a\n{{ b.c }}":  "line 2: 'b' is undefined",
		"a\n\n{% if %}": "line 3: Expected an expression, got 'end of statement block'",
		"{% for x in [1] %}\n{{ 1 / 0 }}\n{% endfor %}": "line 2: division by zero",
		"{{ v2 - name }}":               `line 1: Undefined jinja variable: "v2-web-01.example.com". Jinja tried subtraction. Perhaps you meant "v2_web-01.example.com"?`,
		"\n{% include '/etc/passwd' %}": "line 2: no loader for this environment specified: include is refused",
		"{{ n.zz.y }}":                  "line 1: 'int object' has no attribute 'zz'",
		"{{ [].x.y }}":                  "line 1: 'list object' has no attribute 'x'",
		"{% if 1 %}\n":                  "line 1: Unexpected end of template. Jinja was looking for the following tags: 'elif' or 'else' or 'endif'.",
		"{{ ''.__class__.__mro__ }}":    "line 1: 'str object' has no attribute '__class__'",
		"{{ 'x'|nosuch }}":              "line 1: No filter named 'nosuch'.",
	} {
		if got := render(t, text, asCloudInit()); got.Error != want {
			t.Errorf("%q: %+v, want %s", text, got, want)
		}
	}
}

func TestLimits(t *testing.T) {
	deep := func(open, end string) string {
		return "{{ " + strings.Repeat(open, 10_000) + "1" + strings.Repeat(end, 10_000) + " }}"
	}
	for text, want := range map[string]string{
		"{% for i in range(10000000) %}{% endfor %}":                     "steps of work",
		"{{ range(1000000000)|list|length }}":                            "steps of work",
		"{{ 'x' * 1000000000 }}":                                         "steps of work",
		"{{ [0] * 1000000000 }}":                                         "steps of work",
		"{{ 'x'|center(1000000000) }}":                                   "steps of work",
		"{{ '%1000000000d' % 1 }}":                                       "steps of work",
		"{{ '{:>1000000000}'.format(1) }}":                               "steps of work",
		"{{ 'a'.ljust(1000000000) }}":                                    "steps of work",
		"{{ 'a'.expandtabs(1000000000) ~ '\t'.expandtabs(1000000000) }}": "steps of work",
		"{{ 'a\na'|indent(1000000000) }}":                                "steps of work",
		"{{ [1]|tojson(1000000000) }}":                                   "steps of work",
		"{{ [1]|batch(1000000000, 0)|list }}":                            "steps of work",
		"{{ [1]|slice(1000000000)|list }}":                               "steps of work",
		"{{ 'aaaa'.replace('', 'x' * 100000) * 100 }}":                   "steps of work",
		"{% set ns = namespace(t=(1,)) %}{% for i in range(60) %}{% set ns.t = (ns.t, ns.t) %}{% endfor %}{{ {ns.t: 1} }}":  "steps of work",
		"{% set ns = namespace(t=[1]) %}{% for i in range(60) %}{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.t }}":        "steps of work",
		"{% set ns = namespace(t=[1]) %}{% for i in range(60) %}{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.t|tojson }}": "steps of work",
		"{% set x = 'x' * 9999999 %}{% set l = [x] * 9999 %}{{ l }}":                                                        "steps of work",
		"{% set x = 'x' * 9999999 %}{% for i in range(99999) %}{{ 1 if x == x ~ '' }}{% endfor %}":                          "steps of work",
		"{% set x = 'x' * 9999999 %}{% for i in range(99999) %}{{ {x: 1} }}{% endfor %}":                                    "steps of work",
		"{{ ('-' * 999999)|wordwrap(500000) }}{{ 'x' * 99999999 }}":                                                         "steps of work",
		"{{ " + strings.Repeat("'a'", 300_000) + " * 999999 }}":                                                             "steps of work",
		"{{ " + strings.Repeat("1", 900_000) + " }}":                                                                        "digits",
		"{{ a." + strings.Repeat("1", 900_000) + " }}":                                                                      "digits",
		"{% set x = 'x' * 9999999 %}{% for i in range(99999) %}{{ x|wordcount }}{{ x|int }}{{ x is lower }}{% endfor %}":    "steps of work",
		"{% set x = 'b' * 999999 %}{% for i in range(99999) %}{{ ('a' * 999999).strip(x ~ 'a') }}{% endfor %}":              "steps of work",
		"{{ 2 ** 1000000 }}":  "bits",
		"{{ 9 ** (9 ** 9) }}": "bits",
		"{{ 10 ** 5000 }}":    "4300 digits",
		"{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}":      "steps of work",
		"{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}":             "steps of work",
		"{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}":       "recursion",
		"{% set ns = namespace(l=()) %}{% for i in range(9999) %}{% set ns.l = (ns.l,) %}{% endfor %}{{ {ns.l: 1} }}": "unhashable",
		"{% set l = [] %}{% do l.append(l) %}{{ l }}":                                                                 "recursion",
		"{% set l = [] %}{% do l.append(l) %}{% set m = [] %}{% do m.append(m) %}{{ l == m }}":                        "recursion",
		"{% set l = [] %}{% do l.append(l) %}{{ l|tojson }}":                                                          "recursion",
		"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}":                                                             "recursion",
		"{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}":                                                     "recursion",
		"{% for i in range(90000) %}{{ 'x' * 60 }}{% endfor %}":                                                       "bytes of output",
		deep("(", ")"):                       "levels",
		deep("[", "]"):                       "levels",
		deep("-", ""):                        "levels",
		deep("not ", ""):                     "levels",
		strings.Repeat("{% if 1 %}", 10_000): "levels",
		"{{ 1" + strings.Repeat("+1", 10_000) + " }}":   "in a row",
		"{{ 1" + strings.Repeat("|int", 10_000) + " }}": "in a row",
		strings.Repeat("x", 2<<20):                      "the limit is",
	} {
		start := time.Now()
		got := render(t, text, asCloudInit())
		if !strings.Contains(got.Error, want) {
			t.Errorf("%.80q: %.80q, %s; want %s", text, got.Text, got.Error, want)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%.80q took %v", text, took)
		}
	}
}

func TestDict(t *testing.T) {
	var d Dict
	d.Set("b", big.NewInt(1))
	d.Set("a", "x")
	d.Set("b", true)
	if v, ok := d.Get("b"); !ok || v != true {
		t.Errorf("%v, %v", v, ok)
	}
	if v, ok := d.Get("c"); ok {
		t.Errorf("%v", v)
	}
	tmpl, err := Parse("{{ b }}{% for i in [1] %}{{ a }}{% endfor %}\n", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tmpl.Render(&d); got != "Truex" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := tmpl.Render(nil); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// A template renders within its limits whatever it says.
func FuzzRender(f *testing.F) {
	for _, text := range append(corpus(f), generated(100)...) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		opts := asCloudInit()
		opts.MaxWork, opts.MaxOutput = 20_000, 1<<16
		tmpl, err := Parse(text, opts)
		if err != nil {
			return
		}
		vars, _ := variables(t)
		if out, err := tmpl.Render(vars); len(out) > opts.MaxOutput || err != nil && err.(*Error).Line < 1 {
			t.Errorf("%d bytes, %v", len(out), err)
		}
	})
}
