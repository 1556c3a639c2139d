package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func driveVerifyCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify FILE",
		Short: "check that an instance can read a config drive, and that its documents are whole",
		Long: "Verify reads every file of a drive and checks its label, that the documents parse and agree, that the contents\n" +
			"they name are there, and that readers of Rock Ridge and of Joliet see the same. What is wrong is printed by its\n" +
			"path, one line each.\n\nExit status: 0 nothing is wrong; 1 something is, or the drive cannot be read; 2 wrong command line.",
		Example: "  imprint configdrive verify disk.config\n  imprint configdrive verify --json disk.img",
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, f, err := openDrive(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			found := []string{}
			for _, err := range d.Verify() {
				found = append(found, plain(strings.ReplaceAll(err.Error(), "\n", "; ")))
			}
			out := cmd.OutOrStdout()
			if asJSON {
				err = json.NewEncoder(out).Encode(struct {
					Good  bool     `json:"good"`
					Wrong []string `json:"wrong"`
				}{len(found) == 0, found})
			} else if len(found) == 0 {
				_, err = fmt.Fprintf(out, "%s: good\n", args[0])
			} else {
				_, err = fmt.Fprintln(out, strings.Join(found, "\n"))
			}
			if err == nil && len(found) > 0 {
				err = fmt.Errorf("%s is not good", args[0])
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return c
}
