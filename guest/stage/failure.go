package stage

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"imprint/guest/clouddir"
	"imprint/guest/distro"
)

// failure is an error of a stage: that of a module, which then is named, or
// the stage's own.
type failure struct {
	module string
	err    error
}

// String is the failure as status.json has it. cloud-init writes Python's idea
// of a module's name and exception, which is what people's scripts look for;
// errors that have no counterpart there are RuntimeErrors here.
func (f failure) String() string {
	if f.module == "" {
		return f.err.Error()
	}
	class := "RuntimeError"
	if exit := new(distro.ExitError); errors.As(f.err, &exit) {
		class = "ProcessExecutionError"
	}
	return fmt.Sprintf("(%s, %s(%s))", pythonString(f.module), class, pythonString(f.err.Error()))
}

// pythonString is Python's repr() of a text.
func pythonString(s string) string {
	quote := "'"
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = `"`
	}
	r := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, quote, `\`+quote)
	return quote + r.Replace(s) + quote
}

// outcome collects what a stage has to say.
type outcome struct {
	source   string
	failures []failure
}

// add takes an error in; one that was joined of several, as several.
func (o *outcome) add(err error) {
	if err == nil {
		return
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		if list := many.Unwrap(); errors.Join(list...).Error() == err.Error() {
			for _, e := range list {
				o.add(e)
			}
			return
		}
	}
	o.failures = append(o.failures, failure{err: err})
}

// texts are the failures as status.json has them.
func (o *outcome) texts() []string {
	var all []string
	for _, f := range o.failures {
		all = append(all, f.String())
	}
	return all
}

// warnings are those of the log that are not failures of the stage too.
func (o *outcome) warnings(log *clouddir.Log) map[string][]string {
	kept := log.Kept()
	for level, lines := range kept {
		kept[level] = slices.DeleteFunc(lines, func(line string) bool {
			return slices.ContainsFunc(o.failures, func(f failure) bool {
				return strings.HasSuffix(line, strings.ReplaceAll(f.err.Error(), "\n", " "))
			})
		})
		if len(kept[level]) == 0 {
			delete(kept, level)
		}
	}
	return kept
}
