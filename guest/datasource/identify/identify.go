// Package identify says which data sources a machine has, from what can be
// seen of it without a network: a pure function over an [Evidence] value, which
// somebody else gathers.
//
// It decides what tools/ds-identify of cloud-init 22.4 decides, byte for byte in
// the file that one writes, and beyond that which source may be asked over the
// network: anybody can answer at a link-local address, so only a machine that
// says itself where it runs is believed (CVE-2024-6174), or an administrator who
// named the source.
package identify

import (
	"fmt"
	"slices"
	"strings"
)

// Verdict is what a check comes to.
type Verdict string

// The verdicts, in ds-identify's words.
const (
	NotFound Verdict = "not found"
	Maybe    Verdict = "maybe"
	Found    Verdict = "found"
)

// Check is what was found out about one source.
type Check struct {
	Source  string  `json:"source"`
	Verdict Verdict `json:"verdict"`
	// Reason is a fact in words; it holds nothing secret.
	Reason string `json:"reason"`
	// Identity tells that firmware, or whoever started the first process,
	// names the source's cloud. It may hold where the verdict is NotFound:
	// OpenStack's service is not looked for where there is a config drive.
	Identity bool `json:"identity,omitempty"`
}

// Result is a decision and what led to it. A plain value; it shares nothing with
// the evidence.
type Result struct {
	// Enabled is false where the system shall not be set up at all.
	Enabled bool `json:"enabled"`
	// Sources are those to use, None the last; nil where every source of the
	// configured list is left to find out for itself.
	Sources []string `json:"sources"`
	// Reason is why, in words.
	Reason string `json:"reason"`
	// Policy is what applied, List the sources that were looked for and
	// ListFrom the file, or the place, that names them.
	Policy   Policy   `json:"policy"`
	List     []string `json:"list"`
	ListFrom string   `json:"list_from"`
	// Checks are all that were made, in List's order. They are made even
	// where the decision needs none.
	Checks []Check `json:"checks"`
	// Named is the only source that the administrator allows, on the command
	// line, in ds-identify.cfg or by a list that has no other; "" without one.
	Named string `json:"named,omitempty"`

	config string
}

// none is the source that is always there.
const none = "None"

// Identify decides. It takes microseconds and reads nothing but e.
func Identify(e Evidence) Result {
	r := Result{Policy: e.policy()}
	r.List, r.ListFrom = e.datasourceList()
	for _, name := range r.List {
		r.Checks = append(r.Checks, e.check(name))
	}
	r.decide(e)
	return r
}

// decide follows _main of ds-identify.
func (r *Result) decide(e Evidence) {
	named, from := e.named()
	switch {
	case named != "":
		r.Named = named
	case len(r.List) == 1, len(r.List) == 2 && r.List[1] == none:
		r.Named, from = r.List[0], "the only one in datasource_list of "+r.ListFrom
	}
	switch {
	case r.Policy.Mode == "disabled":
		r.Reason = "the policy is disabled"
	case r.Policy.Mode == "enabled":
		r.Enabled, r.Reason = true, "the policy is enabled: nothing is looked for"
	case named != "":
		r.use([]string{named}, named+" is named "+from)
	case e.has(manualClean):
		r.Enabled, r.Reason, r.config = true, "the instance is kept until it is cleaned by hand (manual_cache_clean)", "# manual_cache_clean.\n"
	case r.Named != "":
		r.use(slices.Clone(r.List), r.Named+" is "+from)
	default:
		r.decideByChecks(e)
	}
}

func (r *Result) decideByChecks(e Evidence) {
	var found, maybe []string
	for _, c := range r.Checks {
		switch c.Verdict {
		case Found:
			found = append(found, c.Source)
		case Maybe:
			maybe = append(maybe, c.Source)
		}
	}
	switch {
	case len(found) > 0:
		if r.Policy.Found == "first" {
			found = found[:1]
		}
		r.use(found, "found "+strings.Join(found, ", "))
	case len(maybe) > 0 && r.Policy.Maybe != "none":
		r.use(maybe, "perhaps "+strings.Join(maybe, ", ")+", and the policy is maybe="+r.Policy.Maybe, e.maybeConfig(maybe)...)
	default:
		r.useNone()
	}
}

// use takes sources; lines come after them in the file.
func (r *Result) use(sources []string, reason string, lines ...string) {
	if !slices.Contains(sources, none) {
		sources = append(sources, none)
	}
	r.Enabled, r.Sources, r.Reason = true, sources, reason
	r.write(r.Policy.Mode == "report", append([]string{"datasource_list: [ " + strings.Join(sources, ", ") + " ]"}, lines...)...)
}

func (r *Result) useNone() {
	r.Reason = "no data source found, and the policy is notfound=" + r.Policy.NotFound
	r.Enabled = r.Policy.Mode == "report" || r.Policy.NotFound == "enabled"
	lines := []string{"datasource_list: [  ]"} // no None either
	if r.Policy.Mode == "search" {
		lines = append(lines, "# reporting not found result. notfound="+r.Policy.NotFound+".")
	}
	r.write(true, lines...)
}

func (r *Result) write(report bool, lines ...string) {
	indent := ""
	if report {
		r.config, indent = "di_report:\n", "  "
	}
	for _, line := range lines {
		r.config += indent + line + "\n"
	}
	if report && r.Enabled {
		r.Sources = nil // said, not done
	}
}

// Config is what ds-identify writes to /run/cloud-init/cloud.cfg; "" where it
// writes nothing.
func (r Result) Config() string { return r.config }

// Check is what was found out about a source; its verdict is NotFound for one
// that was not looked for.
func (r Result) Check(source string) Check {
	for _, c := range r.Checks {
		if c.Source == source {
			return c
		}
	}
	return Check{Source: source, Verdict: NotFound, Reason: "not in datasource_list of " + r.ListFrom}
}

// Trusts tells whether a source that is asked over the network may be, and why
// or why not. Departing from ds-identify and cloud-init 22.4, a source that is
// only possible is never asked, whatever the policy: not on machines without
// DMI, nor with strict_id false.
func (r Result) Trusts(source string) (bool, string) {
	c := r.Check(source)
	switch {
	case r.Named == source:
		return true, "the only source that is allowed (" + r.Reason + ")"
	case r.Named != "":
		return false, "the only source that is allowed is " + r.Named
	case c.Identity:
		return true, c.Reason
	}
	return false, c.Reason + ": nothing on this machine says that it is there"
}

// Explain is the decision in words, many lines, for administrators. Nothing in
// it is secret.
func (r Result) Explain() string {
	var b strings.Builder
	word := map[bool]string{true: "enabled", false: "disabled"}[r.Enabled]
	fmt.Fprintf(&b, "%s: %s\n", word, r.Reason)
	if r.Sources != nil {
		fmt.Fprintf(&b, "sources: %s\n", strings.Join(r.Sources, ", "))
	}
	fmt.Fprintf(&b, "policy: %s\n", r.Policy)
	fmt.Fprintf(&b, "looked for: %s\n", r.ListFrom)
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "  %-9s  %-12s  %s", c.Verdict, c.Source, c.Reason)
		if c.Identity && c.Verdict == NotFound {
			b.WriteString(" (may be asked)")
		}
		b.WriteByte('\n')
	}
	return b.String()
}
