package stage

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
)

var (
	operators = regexp.MustCompile(`[-.]`)
	standard  = regexp.MustCompile(`^v\d+$`)
)

// Variables are instance data in the form in which templates and queries see
// them: what is below v1 stands at the top too, base64 values are decoded, and
// with aliases keys with hyphens and dots have a twin with underscores.
// cloud-init: handlers/jinja_template.py convert_jinja_instance_data.
func Variables(data map[string]any, aliases bool) map[string]any {
	var encoded []string
	if list, ok := data["base64-encoded-keys"].([]any); ok {
		for _, key := range list {
			if s, ok := key.(string); ok {
				encoded = append(encoded, strings.ReplaceAll(s, "-", "_"))
			}
		}
	}
	return variables(data, "", encoded, aliases)
}

func variables(data map[string]any, prefix string, encoded []string, aliases bool) map[string]any {
	out := map[string]any{}
	for key, value := range data {
		full := key
		if prefix != "" {
			full = prefix + "/" + key
		}
		if s, ok := value.(string); ok && slices.Contains(encoded, full) {
			if plain, err := base64.StdEncoding.DecodeString(s); err == nil {
				value = string(plain)
			}
		}
		if m, ok := value.(map[string]any); ok {
			value = variables(m, full, encoded, aliases)
		}
		out[key] = value
		if alias := operators.ReplaceAllString(key, "_"); aliases && alias != key {
			out[alias] = value
		}
	}
	for _, key := range sortedKeys(out) {
		below, ok := out[key].(map[string]any)
		if !ok || !standard.MatchString(key) {
			continue
		}
		for name, value := range below {
			out[name] = value
		}
	}
	return out
}
