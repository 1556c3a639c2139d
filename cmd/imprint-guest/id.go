package main

import (
	"encoding/json"
	"fmt"

	"imprint/base/rootfs"
	"imprint/guest/clouddir"
)

// Exit statuses of cloud-id besides the usual ones.
const (
	exitDisabled = 2
	exitNotRun   = 3
)

func (p *program) idCommand() *command {
	var asJSON, long bool
	file := publicData
	return &command{
		name:    "cloud-id",
		summary: "Report the canonical cloud-id for this instance",
		about: `Report the canonical cloud-id for this instance.

Exit status: 0 printed, 1 error, 2 disabled, 3 not run.`,
		options: []option{
			{names: []string{"-j", "--json"}, flag: &asJSON, help: "Report all standardized cloud-id information as json."},
			{names: []string{"-l", "--long"}, flag: &long, help: "Report extended cloud-id information as tab-delimited string."},
			{names: []string{"-i", "--instance-data"}, meta: "INSTANCE_DATA", value: &file, help: "Path to instance-data.json file. Default is " + publicData},
		},
		run: func() int {
			return p.withRoot(func(root *rootfs.Root) int { return p.cloudID(root, file, asJSON, long) })
		},
	}
}

func (p *program) cloudID(root *rootfs.Root, file string, asJSON, long bool) int {
	switch r := readReport(root); r.State {
	case clouddir.Disabled:
		fmt.Fprintln(p.out, r.State)
		return exitDisabled
	case clouddir.NotRun:
		fmt.Fprintln(p.out, r.State)
		return exitNotRun
	}
	text, err := root.ReadFile(file)
	if err != nil {
		fmt.Fprintf(p.err, "Error:\nFile not found '%s'. Provide a path to instance data json file using --instance-data\n", file)
		return exitFailed
	}
	data, err := decode(text)
	if err != nil {
		fmt.Fprintf(p.err, "Error:\nFile '%s' is not valid json. %v\n", file, err)
		return exitFailed
	}
	v1, _ := data["v1"].(map[string]any)
	id := pythonWord(v1["cloud_id"])
	switch {
	case asJSON:
		fmt.Fprintln(p.err, "DEPRECATED: Use: cloud-init query v1")
		return p.printValue(v1)
	case long:
		fmt.Fprintf(p.out, "%s\t%s\n", id, pythonWord(v1["region"]))
	default:
		fmt.Fprintln(p.out, id)
	}
	return exitOK
}

// pythonWord is a JSON scalar as Python prints it.
func pythonWord(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case string:
		return v
	}
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}
