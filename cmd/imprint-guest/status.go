package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"imprint/base/cloudconfig"
	"imprint/base/rootfs"
	"imprint/guest/clouddir"
	"imprint/guest/stage"
)

// poll is how often status --wait looks.
const poll = 250 * time.Millisecond

func (p *program) statusCommand(ctx context.Context) *command {
	format := "tabular"
	var long, wait bool
	return &command{
		name:    "status",
		summary: "Report cloud-init status or wait on completion.",
		about: `Report run status of cloud init. With --wait it ends, with status 1, too when no
stage can go on any more: its unit failed, or no stage runs for five minutes.`,
		options: []option{
			{names: []string{"--format"}, choices: []string{"json", "tabular", "yaml"}, value: &format, help: "Specify output format for cloud-id (default: tabular)"},
			{names: []string{"-l", "--long"}, flag: &long, help: "Report long format of statuses including run stage name and error messages"},
			{names: []string{"-w", "--wait"}, flag: &wait, help: "Block waiting on cloud-init to complete"},
		},
		run: func() int {
			return p.withRoot(func(root *rootfs.Root) int { return p.status(ctx, root, format, long, wait) })
		},
	}
}

func (p *program) status(ctx context.Context, root *rootfs.Root, format string, long, wait bool) int {
	report := readReport(root)
	code := exitOK
	for w := newWatch(root); wait && unfinished(report); report = readReport(root) {
		if format == "tabular" {
			fmt.Fprint(p.out, ".")
		}
		if why := w.stuck(ctx, report); why != "" {
			fmt.Fprintf(p.err, "\nERROR: cloud-init will not complete: %s\n", why)
			code = exitFailed
			break
		}
		select {
		case <-ctx.Done():
			return exitFailed
		case <-time.After(poll):
		}
	}
	text, err := statusText(report, format, long)
	if err != nil {
		return p.fail(err)
	}
	if wait && format == "tabular" {
		text = "\n" + text
	}
	fmt.Fprint(p.out, text)
	if report.State == clouddir.Failed {
		return exitFailed
	}
	return code
}

func unfinished(r clouddir.Report) bool {
	return r.State == clouddir.NotRun || r.State == clouddir.Running
}

func readReport(root *rootfs.Root) clouddir.Report {
	return clouddir.New(root, nil).Report(stage.CommandLine(root), os.Getenv("KERNEL_CMDLINE"))
}

// fields are those of the JSON form, which stand twice in it. The extended
// status and what it is made of are cloud-init's since 23.4, and only there if
// something was ignored.
type fields struct {
	BootStatusCode string              `json:"boot_status_code"`
	Datasource     string              `json:"datasource"`
	Detail         string              `json:"detail"`
	Errors         []string            `json:"errors"`
	Extended       string              `json:"extended_status,omitempty"`
	LastUpdate     string              `json:"last_update"`
	Recoverable    map[string][]string `json:"recoverable_errors,omitempty"`
	Schemas        map[string]fields   `json:"schemas,omitempty"`
	Status         clouddir.State      `json:"status"`
}

func statusFields(r clouddir.Report) fields {
	f := fields{BootStatusCode: r.Switch.Code, Datasource: r.Datasource, Detail: r.Detail, Errors: r.Errors, Status: r.State}
	if !r.LastUpdate.IsZero() {
		f.LastUpdate = r.LastUpdate.Format(time.RFC1123Z)
	}
	if r.Degraded() {
		f.Extended, f.Recoverable = "degraded "+string(r.State), r.Recoverable
	}
	return f
}

// statusText is the status in one of the formats.
func statusText(r clouddir.Report, format string, long bool) (string, error) {
	f := statusFields(r)
	if format == "tabular" {
		return tabular(f, long), nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	inner := f
	f.Schemas = map[string]fields{"1": inner}
	err := enc.Encode(struct {
		Version string `json:"_schema_version"`
		fields
	}{"1", f})
	if err != nil || format == "json" {
		return b.String(), err
	}
	n, err := cloudconfig.ParseJSON(b.Bytes())
	if err != nil {
		return "", err
	}
	return string(cloudconfig.Dump(n)) + "\n", nil
}

func tabular(f fields, long bool) string {
	text := fmt.Sprintf("status: %s\n", f.Status)
	if !long {
		return text
	}
	if f.Extended != "" {
		text += "extended_status: " + f.Extended + "\n"
	}
	text += "boot_status_code: " + f.BootStatusCode + "\n"
	if f.LastUpdate != "" {
		text += "last_update: " + f.LastUpdate + "\n"
	}
	text += "detail:\n" + f.Detail + "\n"
	if len(f.Recoverable) > 0 {
		text += "recoverable_errors:\n"
	}
	for _, level := range slices.Sorted(maps.Keys(f.Recoverable)) {
		text += level + ":\n"
		for _, line := range f.Recoverable[level] {
			text += "\t- " + line + "\n"
		}
	}
	return text
}
