package userdata

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imprint/base/cloudconfig"
)

func TestRender(t *testing.T) {
	data, err := cloudconfig.ParseJSON([]byte(`{"v1": {"local-hostname": "web"}, "l": [1, 2.5, null, true]}`))
	if err != nil {
		t.Fatal(err)
	}
	const head = "## template: jinja\n"
	tests := map[string]struct {
		body    string
		want    string // type and body
		problem *Problem
	}{
		"script":       {body: head + "#!/bin/sh\necho {{ v1.local_hostname }} {{ l }}\n", want: "text/x-shellscript #!/bin/sh\necho web [1, 2.5, None, True]\n"},
		"cloud-config": {body: head + "#cloud-config\na: {{ local_hostname }}", want: "text/cloud-config #cloud-config\na: web"},
		"patch":        {body: head + "#cloud-config-jsonp\n[]", want: "text/cloud-config-jsonp #cloud-config-jsonp\n[]"},
		"missing": {body: head + "#!\n{{ nope }} {{ v1.no }}", want: "text/x-shellscript #!\nCI_MISSING_JINJA_VAR/nope CI_MISSING_JINJA_VAR/no",
			problem: &Problem{Part: "p", Line: 7, Text: "Could not render jinja template variables in file 'p': 'nope', 'no'"}},
		"boothook": {body: head + "#cloud-boothook\n",
			problem: &Problem{Part: "p", Line: 7, Dropped: true, Text: "Ignoring jinja template for p. Could not find supported sub-handler for type text/cloud-boothook"}},
		"unknown": {body: head + "x",
			problem: &Problem{Part: "p", Line: 7, Dropped: true, Text: "Ignoring jinja template for p. Could not find supported sub-handler for type None"}},
		"nothing": {body: head + "{# c #}"},
		"fault": {body: head + "#!\n\n{{ nope.x }}",
			problem: &Problem{Part: "p", Line: 10, Dropped: true, Text: "Ignoring jinja template for p: line 4: 'nope' is undefined"}},
		"syntax": {body: head + "{% if %}",
			problem: &Problem{Part: "p", Line: 8, Dropped: true, Text: "Ignoring jinja template for p: line 2: Expected an expression, got 'end of statement block'"}},
		"subtraction": {body: head + "{{ v1.no-such }}",
			problem: &Problem{Part: "p", Line: 8, Dropped: true, Text: `Ignoring jinja template for p: line 2: Undefined jinja variable: "no-such". Jinja tried subtraction. Perhaps you meant "no_such"?`}},
		"other engine": {body: "## template: jinja2\n#!",
			problem: &Problem{Part: "p", Line: 7, Dropped: true, Text: `Ignoring jinja template for p: unknown template rendering type "jinja2"`}},
		"late": {body: "\n## template: jinja\n#!",
			problem: &Problem{Part: "p", Line: 7, Dropped: true, Text: "Ignoring jinja template for p: the first line is not ## template: jinja"}},
		"endless": {body: head + "{% for i in range(100000000) %}{% endfor %}",
			problem: &Problem{Part: "p", Line: 8, Dropped: true, Text: "Ignoring jinja template for p: line 2: more than 1000000 steps of work"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			part, problems, ok := Render(Part{Type: TypeJinja, Jinja: true, Filename: "p", Line: 7, Body: []byte(tt.body)}, data)
			got := ""
			if ok {
				got = part.Type + " " + string(part.Body)
			}
			var want []Problem
			if tt.problem != nil {
				want = []Problem{*tt.problem}
			}
			if diff := cmp.Diff(want, problems); diff != "" || got != tt.want || part.Jinja {
				t.Errorf("%q, want %q\n%s", got, tt.want, diff)
			}
		})
	}
	script := Part{Type: TypeScript, Body: []byte("#!{{ x }}")}
	if same, problems, ok := Render(script, data); !ok || problems != nil || string(same.Body) != "#!{{ x }}" {
		t.Errorf("%+v, %v", same, problems)
	}
}

// Aliases within each other do not multiply what is kept, only what is written.
func TestVariablesStaySmall(t *testing.T) {
	const depth = 90
	data, err := cloudconfig.ParseJSON([]byte(strings.Repeat(`{"a-b":`, depth) + "1" + strings.Repeat("}", depth)))
	if err != nil {
		t.Fatal(err)
	}
	if text, _, err := RenderTemplate("## template: jinja\n{{ a_b.a_b.a_b|length }}", data); text != "2" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if _, _, err := RenderTemplate("## template: jinja\n{{ a_b }}", data); err == nil || !strings.Contains(err.Error(), "steps of work") {
		t.Error(err)
	}
}
