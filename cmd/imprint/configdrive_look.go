package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"imprint/host/configdrive"
)

// openDrive opens a drive; the caller closes the file.
func openDrive(name string) (*configdrive.Drive, *os.File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		var d *configdrive.Drive
		if d, err = configdrive.Open(f, size); err == nil {
			return d, f, nil
		}
	}
	f.Close()
	return nil, nil, fmt.Errorf("%s: %w", name, err)
}

// readLimit is how many bytes of a volume's files are read, as a multiple of
// its size: a hostile one may name the same bytes many times.
const readLimit = 16

func driveShowCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "show FILE [PATH]",
		Short: "print what is on a config drive: its tree, or one file",
		Long: "Show lists a drive's files with modes and sizes, or writes the file PATH to standard output as it is. FILE is\n" +
			"a volume, or a disk with a partition that is labelled config-2 or cidata.",
		Example: "  imprint configdrive show disk.config\n  imprint configdrive show disk.config openstack/latest/meta_data.json\n" +
			"  imprint configdrive show --json disk.config",
		Args: between(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, f, err := openDrive(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			where := "."
			if len(args) == 2 {
				where = path.Clean(strings.Trim(args[1], "/"))
			}
			err = show(cmd.OutOrStdout(), d, where, asJSON)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "list as JSON, with the files' SHA-256")
	return c
}

// show writes a file's bytes, or lists a directory.
func show(w io.Writer, d *configdrive.Drive, where string, asJSON bool) error {
	st, err := fs.Stat(d, where)
	if err != nil {
		return err
	}
	if !st.IsDir() {
		f, err := d.Open(where)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(w, f)
		return err
	}
	below, err := fs.Sub(d, where)
	if err != nil {
		return err
	}
	entries, err := configdrive.List(below, asJSON, false, readLimit*d.Size)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(w).Encode(struct {
			Format    configdrive.Format  `json:"format"`
			Label     string              `json:"label"`
			Size      int64               `json:"size"`
			Partition int                 `json:"partition,omitempty"`
			Facts     []string            `json:"facts"`
			Files     []configdrive.Entry `json:"files"`
		}{d.Format, d.Label, d.Size, d.Partition, d.Facts(), entries})
	}
	fmt.Fprintf(w, "%s, label %s, %d bytes; %s\n", d.Format, strconv.Quote(d.Label), d.Size, plain(strings.Join(d.Facts(), ", ")))
	for _, e := range entries {
		name, size := plain(e.Path), strconv.FormatInt(e.Size, 10)
		if strings.HasPrefix(e.Mode, "d") {
			name, size = name+"/", "-"
		}
		if _, err := fmt.Fprintf(w, "%s %9s  %s\n", e.Mode, size, name); err != nil {
			return err
		}
	}
	return nil
}

// plain makes a text of a stranger's volume safe for a terminal.
func plain(text string) string {
	if quoted := strconv.Quote(text); strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`) != text {
		return quoted
	}
	return text
}

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
