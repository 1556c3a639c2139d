package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"imprint/host/configdrive"
)

func driveDiffCommand() *cobra.Command {
	var asJSON, seedless bool
	c := &cobra.Command{
		Use:   "diff A B",
		Short: "compare two config drives, or a drive and a directory, file by file",
		Long: "Diff prints the paths at which two trees differ: drives in either format, disks that carry one, or directories,\n" +
			"whose modes do not count.\n\nExit status: 0 they are the same; 1 they differ, or one cannot be read; 2 wrong command line.",
		Example: "  imprint configdrive diff old.config disk.config\n  imprint configdrive diff --ignore-seed nova.iso ours.iso",
		Args:    exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := listTree(args[0], seedless)
			if err != nil {
				return err
			}
			b, err := listTree(args[1], seedless)
			if err != nil {
				return err
			}
			found := configdrive.Diff(a, b)
			out := cmd.OutOrStdout()
			if asJSON {
				err = json.NewEncoder(out).Encode(append([]configdrive.Difference{}, found...))
			}
			for _, d := range found {
				if !asJSON {
					_, err = fmt.Fprintf(out, "%s: %s\n", plain(d.Path), d.What)
				}
			}
			if err == nil && len(found) > 0 {
				err = fmt.Errorf("%s and %s differ at %d paths", args[0], args[1], len(found))
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	c.Flags().BoolVar(&seedless, "ignore-seed", false, "leave out random_seed, which no two drives share")
	return c
}

// listTree lists a drive, or a directory as if it were one.
func listTree(name string, seedless bool) ([]configdrive.Entry, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !st.IsDir() {
		d, f, err := openDrive(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		list, err := configdrive.List(d, true, seedless, readLimit*d.Size)
		return list, named(name, err)
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	const unlimited = 1<<63 - 1
	list, err := configdrive.List(root.FS(), true, seedless, unlimited)
	for i := range list {
		list[i].Mode = "-r--r--r--"
		if list[i].SHA256 == "" {
			list[i].Mode = "dr-xr-xr-x"
		}
	}
	return list, named(name, err)
}

func named(name string, err error) error {
	if err == nil {
		return nil
	}
	return errors.New(name + ": " + err.Error())
}
