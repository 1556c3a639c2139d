package identify

import (
	"slices"
	"strings"
)

// Policy is how to decide; the words are ds-identify's.
type Policy struct {
	Mode     string `json:"mode"`     // search, report, enabled, disabled
	Found    string `json:"found"`    // all, first
	Maybe    string `json:"maybe"`    // all, none
	NotFound string `json:"notfound"` // enabled, disabled
}

// String is the policy as it is written in ds-identify.cfg.
func (p Policy) String() string {
	return p.Mode + ",found=" + p.Found + ",maybe=" + p.Maybe + ",notfound=" + p.NotFound
}

// policy is ds-identify.cfg's, or the command line's, over the default, which
// is enabled where machines have no DMI values to be found by.
func (e Evidence) policy() Policy {
	p := Policy{Mode: "search", Found: "all", Maybe: "none", NotFound: "enabled"}
	if isPC(e.Arch) {
		p.NotFound = "disabled"
	}
	text := ""
	if s, ok := last(e.Identity, "policy", nil); ok {
		text = s.Value
	}
	for word := range strings.FieldsSeq(e.CommandLine) {
		if key, value, _ := option(word); key == "ci.di.policy" {
			text = value
		}
	}
	return p.with(text)
}

// with applies a policy string. What is not known is left out.
func (p Policy) with(text string) Policy {
	def := p
	for word := range strings.SplitSeq(text, ",") {
		switch word {
		case "enabled", "disabled", "search", "report":
			p.Mode = word
			continue
		}
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			continue
		}
		switch key {
		case "found":
			p.Found = oneOf(value, def.Found, "all", "first")
		case "maybe":
			p.Maybe = oneOf(value, def.Maybe, "all", "none")
		case "notfound":
			p.NotFound = oneOf(value, def.NotFound, "enabled", "disabled")
		}
	}
	return p
}

func oneOf(value, def string, known ...string) string {
	if slices.Contains(known, value) {
		return value
	}
	return def
}

// isPC: the architectures that are sure to have DMI values.
func isPC(arch string) bool {
	return arch == "x86_64" || len(arch) == 4 && arch[0] == 'i' && arch[2:] == "86"
}
