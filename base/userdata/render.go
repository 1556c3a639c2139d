package userdata

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"imprint/base/cloudconfig"
	"imprint/base/jinja"
)

// missingVariable is what a template's undefined variables leave behind
// (cloudinit/templater.py MISSING_JINJA_PREFIX, 22.4).
const missingVariable = "CI_MISSING_JINJA_VAR/"

// jinjaOptions are how cloud-init sets the engine up (cloudinit/templater.py
// detect_template, 22.4).
func jinjaOptions() jinja.Options {
	return jinja.Options{TrimBlocks: true, Missing: missingVariable}
}

var (
	templateLine = regexp.MustCompile(`(?i)^##\s*template:(.*)`)
	missingName  = regexp.MustCompile(missingVariable + `([^\s]+)`)
)

// RenderTemplate renders a text whose first line is "## template: jinja" with
// the variables of instance data, and names the variables that it lacks,
// which stand in the result as CI_MISSING_JINJA_VAR/<name>. The lines of its
// errors, [*jinja.Error], count the first one (cloudinit/templater.py
// render_string and handlers/jinja_template.py, 22.4; also what query --format
// and devel render print).
func RenderTemplate(text string, instanceData *cloudconfig.Node) (rendered string, missing []string, err error) {
	head, body, _ := strings.Cut(text, "\n")
	m := templateLine.FindStringSubmatch(head)
	if m == nil {
		return "", nil, errors.New("the first line is not ## template: jinja")
	}
	if kind := strings.ToLower(strings.TrimSpace(m[1])); kind != "jinja" {
		return "", nil, fmt.Errorf("unknown template rendering type %.40q", kind)
	}
	t, err := jinja.Parse(body, jinjaOptions())
	if err == nil {
		rendered, err = t.Render(Variables(instanceData))
	}
	if fault, ok := errors.AsType[*jinja.Error](err); ok {
		return "", nil, &jinja.Error{Line: fault.Line + 1, Text: fault.Text}
	}
	if strings.HasSuffix(body, "\n") {
		rendered += "\n"
	}
	for _, found := range missingName.FindAllStringSubmatch(rendered, maxMissing) {
		missing = append(missing, strings.ReplaceAll(found[1], missingVariable, ""))
	}
	return rendered, missing, nil
}

// maxMissing bounds how many missing variables are named.
const maxMissing = 100

// Render renders a part that is a template ([Part.Jinja]) and finds out what
// came of it. The part is dropped, and false returned, when the template fails,
// when nothing comes of it, and when something comes that cloud-init does not
// take from a template: it takes cloud-config, JSON patches and scripts
// (cloudinit/stages.py _default_handlers, 22.4). Other parts return as they
// are. Departure: a JSON patch is applied as one, and not read as YAML.
func Render(part Part, instanceData *cloudconfig.Node) (Part, []Problem, bool) {
	if !part.Jinja {
		return part, nil, true
	}
	problem := Problem{Part: part.Filename, Source: part.Source, Line: part.Line, Dropped: true}
	text, missing, err := RenderTemplate(string(part.Body), instanceData)
	if err != nil {
		problem.Text = fmt.Sprintf("Ignoring jinja template for %s: %v", part.Filename, err)
		if fault, ok := errors.AsType[*jinja.Error](err); ok && part.Line > 0 {
			problem.Line += fault.Line - 1
		}
		return Part{}, []Problem{problem}, false
	}
	var problems []Problem
	if len(missing) > 0 {
		warning := problem
		warning.Dropped = false
		warning.Text = fmt.Sprintf("Could not render jinja template variables in file '%s': '%s'", part.Filename, strings.Join(missing, "', '"))
		problems = append(problems, warning)
	}
	if text == "" {
		return Part{}, problems, false
	}
	part.Jinja, part.Body, part.Type = false, []byte(text), TypeOf([]byte(text))
	if !slices.Contains([]string{TypeCloudConfig, TypeCloudConfigJSONP, TypeScript}, part.Type) {
		kind := part.Type
		if kind == "" {
			kind = "None"
		}
		problem.Text = fmt.Sprintf("Ignoring jinja template for %s. Could not find supported sub-handler for type %s", part.Filename, kind)
		return Part{}, append(problems, problem), false
	}
	return part, problems, true
}
