package main

import "imprint/guest/stage"

// templates is the engine that renders Jinja templates, nil if this agent has
// none.
func templates() stage.Render { return nil }

// patches applies #cloud-config-jsonp parts, nil if this agent cannot.
func patches() stage.Patch { return nil }
