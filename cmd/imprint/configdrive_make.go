package main

import (
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"
)

func driveMakeCommand() *cobra.Command {
	var o volumeFlags
	var output string
	var asJSON bool
	c := &cobra.Command{
		Use:   "make DIR|INSTANCE.json -o FILE",
		Short: "make a config drive of a directory, or of an instance's description",
		Long: "Make writes a drive with the files of DIR as they are, or with the documents of an instance. INSTANCE.json\n" +
			"describes it as docs/configdrive.md says; with --label cidata the documents are NoCloud's. FILE is written beside, as FILE.new, and renamed when it is\n" +
			"complete. With the same --time, --random and --volume-id the same contents give the same bytes.",
		Example: "  imprint configdrive make instance.json -o disk.config\n" +
			"  imprint configdrive make drive/ -o disk.config --format vfat --time 2026-01-01T00:00:00Z\n" +
			"  imprint configdrive make seed/ -o seed.iso --label cidata    # user-data, meta-data, network-config",
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output == "" {
				return &usageError{errors.New("imprint configdrive make: --output is needed")}
			}
			m, done, err := o.image(args[0])
			if err != nil {
				return err
			}
			defer done()
			if err := m.WriteFile(output); err != nil || !asJSON {
				return err
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(madeReport{output, o.format, o.label, m.Size()})
		},
	}
	o.add(c)
	c.Flags().StringVarP(&output, "output", "o", "", "the file to be made")
	c.Flags().BoolVar(&asJSON, "json", false, "say what was made as JSON; without it nothing is printed")
	return c
}

// madeReport says what drive was made.
type madeReport struct {
	File   string `json:"file"`
	Format string `json:"format"`
	Label  string `json:"label"`
	Size   int64  `json:"size"` // bytes
}
