package main

import (
	"encoding/json"
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
