package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"imprint/base/userdata"
)

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// errNoTemplates says why a template is not used.
var errNoTemplates = errors.New("templates (## template: jinja) are not rendered; the part is ignored")

// missing is what a template prints for a variable that there is not.
var missing = regexp.MustCompile(`CI_MISSING_JINJA_VAR/(\S+)`)

// Missing names the variables that a rendered template lacked, quoted.
func Missing(rendered string) string {
	var names []string
	for _, m := range missing.FindAllStringSubmatch(rendered, -1) {
		names = append(names, "'"+m[1]+"'")
	}
	return strings.Join(names, ", ")
}

// template renders a part with the instance data and hands the result to the
// handler of cloud-config or of scripts. cloud-init: handlers/jinja_template.py.
func (c *consumer) template(ctx context.Context, p userdata.Part) error {
	if c.b.Render == nil {
		return errNoTemplates
	}
	text, err := c.b.Dir.InstanceData(true)
	if err != nil {
		return err
	}
	var data map[string]any
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&data); err != nil {
		return fmt.Errorf("read instance data: %w", err)
	}
	rendered, err := c.b.Render(string(p.Body), Variables(data, true))
	if err != nil {
		return fmt.Errorf("Ignoring jinja template for %s: %w", printable(p.Filename), err) //lint:ignore ST1005 cloud-init's words
	}
	if names := Missing(rendered); names != "" {
		c.b.ignore("jinja_template.py", fmt.Sprintf("Could not render jinja template variables in file '%s': %s",
			printable(p.Filename), printable(names)))
	}
	if rendered == "" {
		return nil
	}
	p.Jinja, p.Body = false, []byte(rendered)
	switch p.Type = userdata.TypeOf(p.Body); p.Type {
	case userdata.TypeCloudConfig, userdata.TypeCloudConfigJSONP, userdata.TypeScript:
		return c.part(ctx, p)
	}
	return fmt.Errorf("Ignoring jinja template for %s. Could not find supported sub-handler for type %s", //lint:ignore ST1005 cloud-init's words
		printable(p.Filename), printable(p.Type))
}
