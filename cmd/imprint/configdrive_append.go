package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"imprint/host/configdrive"
)

func driveAppendCommand() *cobra.Command {
	var o volumeFlags
	var grow, asJSON bool
	c := &cobra.Command{
		Use:   "append DISK DIR|INSTANCE.json",
		Short: "add a config drive to a disk or a raw disk image, as its last partition",
		Long: "Append makes a drive of DIR or INSTANCE.json as 'make' does, and puts it at the end of the disk, which needs\n" +
			"a partition table, GPT or MBR. The other partitions stay as they are; the backup of a GPT goes to the end of\n" +
			"the disk. Without room behind the last partition it refuses, and the disk is as it was.",
		Example: "  imprint configdrive append disk.img instance.json --grow\n  imprint configdrive append /dev/sdb drive/ --format vfat",
		Args:    exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, done, err := o.image(args[1])
			if err != nil {
				return err
			}
			defer done()
			disk, err := configdrive.OpenDisk(args[0])
			if err != nil {
				return err
			}
			placed, err := disk.Append(m, configdrive.Placing{Grow: grow})
			if err == nil {
				err = disk.Reread()
			}
			if err = errors.Join(err, disk.Close()); err != nil {
				return err
			}
			return tellPlaced(cmd.OutOrStdout(), asJSON, placedReport{args[0], placed.Number, placed.Start, placed.Size, string(placed.Scheme), o.label})
		},
	}
	o.add(c)
	c.Flags().BoolVar(&grow, "grow", false, "let a disk image that has no room grow by as much as is needed")
	c.Flags().BoolVar(&asJSON, "json", false, "say where the drive is as JSON")
	return c
}

// placedReport says where on a disk a drive is.
type placedReport struct {
	Disk      string `json:"disk"`
	Partition int    `json:"partition"`
	Start     int64  `json:"start"` // byte
	Size      int64  `json:"size"`  // bytes
	Table     string `json:"table"`
	Label     string `json:"label"`
}

func tellPlaced(w io.Writer, asJSON bool, r placedReport) error {
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	_, err := fmt.Fprintf(w, "%s: partition %d (%s), %d bytes from byte %d on: %s\n", r.Disk, r.Partition, r.Table, r.Size, r.Start, r.Label)
	return err
}
