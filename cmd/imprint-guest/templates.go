package main

import (
	"encoding/json"

	"imprint/base/cloudconfig"
	"imprint/base/userdata"
	"imprint/guest/stage"
)

// templates is the engine that renders Jinja templates.
func templates() stage.Render { return render }

func render(template string, data map[string]any) (string, error) {
	text, err := json.Marshal(data)
	if err != nil {
		return "", err
	}
	variables, err := cloudconfig.ParseJSON(text)
	if err != nil {
		return "", err
	}
	rendered, _, err := userdata.RenderTemplate(template, variables)
	return rendered, err
}

// patches applies #cloud-config-jsonp parts.
func patches() stage.Patch { return cloudconfig.PatchPart }
