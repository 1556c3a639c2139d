package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"imprint/base/rootfs"
	"imprint/guest/clouddir"
)

// poll is how often status --wait looks.
const poll = 250 * time.Millisecond

func statusCommand(dir *string) *cobra.Command {
	var wait, long bool
	var format string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Tell how far this boot is",
		Long: `Tells whether the stages of this boot ran, and what went wrong.

Exit status: 0 not run, running, done or disabled; 1 an error happened.`,
		Example: "  cloud-init status --wait\n  cloud-init status --long\n  cloud-init status --format json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "tabular" && format != "json" {
				return usageError{fmt.Errorf("--format is tabular or json, not %q", format)}
			}
			root, err := rootfs.Open(*dir)
			if err != nil {
				return err
			}
			defer root.Close()
			state := clouddir.New(root, nil)
			out := cmd.OutOrStdout()
			report := state.Report(cmdline(root))
			for wait && (report.State == clouddir.NotRun || report.State == clouddir.Running) {
				if format == "tabular" {
					fmt.Fprint(out, ".")
				}
				select {
				case <-cmd.Context().Done():
					return cmd.Context().Err()
				case <-time.After(poll):
				}
				report = state.Report(cmdline(root))
			}
			if err := printStatus(out, report, format, long, wait); err != nil {
				return err
			}
			if report.State == clouddir.Failed {
				return errFailed
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&wait, "wait", "w", false, "wait until the boot is done")
	cmd.Flags().BoolVarP(&long, "long", "l", false, "print errors, warnings and the data source too")
	cmd.Flags().StringVar(&format, "format", "tabular", "tabular or json")
	return cmd
}

// cmdline is the kernel's command line, as far as the root has one.
func cmdline(root *rootfs.Root) string {
	data, err := root.ReadFile("/proc/cmdline")
	if err != nil {
		return ""
	}
	return string(data)
}

// statusFields are the fields of the JSON form, which stand twice in it.
type statusFields struct {
	BootStatusCode string          `json:"boot_status_code"`
	Datasource     string          `json:"datasource"`
	Detail         string          `json:"detail"`
	Errors         []string        `json:"errors"`
	LastUpdate     string          `json:"last_update"`
	Recoverable    []string        `json:"recoverable_errors,omitempty"`
	Schemas        *map[string]any `json:"schemas,omitempty"`
	Status         clouddir.State  `json:"status"`
}

func printStatus(out io.Writer, r clouddir.Report, format string, long, waited bool) error {
	updated := ""
	if !r.LastUpdate.IsZero() {
		updated = r.LastUpdate.Format(time.RFC1123Z)
	}
	if format == "json" {
		f := statusFields{BootStatusCode: r.Switch.Code, Datasource: r.Datasource, Detail: r.Detail,
			Errors: r.Errors, LastUpdate: updated, Recoverable: r.Warnings, Status: r.State}
		inner := f
		f.Schemas = &map[string]any{"1": inner}
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(struct {
			SchemaVersion string `json:"_schema_version"`
			statusFields
		}{"1", f})
	}
	text := ""
	if waited {
		text = "\n"
	}
	text += fmt.Sprintf("status: %s\n", r.State)
	if long {
		text += fmt.Sprintf("boot_status_code: %s\n", r.Switch.Code)
		if updated != "" {
			text += "last_update: " + updated + "\n"
		}
		text += "detail:\n" + r.Detail + "\n"
		if len(r.Warnings) > 0 {
			text += "warnings:\n"
		}
		for _, w := range r.Warnings {
			text += " - " + w + "\n"
		}
	}
	_, err := io.WriteString(out, text)
	return err
}
