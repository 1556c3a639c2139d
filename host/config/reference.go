package config

import (
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Reference returns a configuration file that sets every key to its default,
// each with its description as a comment. [Parse] reads it.
func Reference() string {
	var b strings.Builder
	b.WriteString("# Every key of Imprint's configuration with its default.\n" +
		"# Keys marked (reload) are taken by `imprint reload` and SIGHUP, the others at the next start.\n")
	v := reflect.ValueOf(Default())
	for i := range v.NumField() {
		section := v.Type().Field(i)
		fmt.Fprintf(&b, "\n# %s\n%s:\n", section.Tag.Get("doc"), section.Tag.Get("yaml"))
		for j := range v.Field(i).NumField() {
			f := section.Type.Field(j)
			mark := ""
			if f.Tag.Get("reload") == "yes" {
				mark = " (reload)"
			}
			fmt.Fprintf(&b, "  # %s%s\n  %s: %s\n", f.Tag.Get("doc"), mark, f.Tag.Get("yaml"), value(v.Field(i).Field(j)))
		}
	}
	return b.String()
}

// value writes v as YAML in one line.
func value(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Map:
		return "{}"
	case reflect.String:
		if v.String() == "" {
			return `""`
		}
	}
	text, err := yaml.Marshal(v.Interface())
	if err != nil {
		panic(fmt.Sprintf("configuration default %v: %v", v, err))
	}
	return strings.TrimSpace(string(text))
}
