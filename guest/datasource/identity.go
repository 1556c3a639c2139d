package datasource

import "imprint/guest/datasource/identify"

// Identity is what a machine shows, and which sources follow from it. A plain
// value; safe for concurrent use.
type Identity struct {
	Evidence identify.Evidence
	identify.Result
}

// Identified looks at the machine and decides; an Env that knows already is left
// as it is. Sources whose Env does not know look for themselves.
func (e Env) Identified() Env {
	if e.Identity == nil {
		seen := Gather(e)
		e.Identity = &Identity{seen, identify.Identify(seen)}
	}
	return e
}

// detectNetwork is the verdict on a source that is asked over the network: one
// that nothing on the machine speaks of is not asked.
func (e Env) detectNetwork(source string) Evidence {
	trusted, why := e.Identified().Identity.Trusts(source)
	if trusted {
		return Evidence{Source: source, Network: true, Verdict: Present, Reason: why}
	}
	return Evidence{Source: source, Network: true, Verdict: Absent, Reason: why}
}
