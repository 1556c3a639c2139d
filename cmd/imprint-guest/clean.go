package main

import (
	"github.com/spf13/cobra"

	"imprint/base/rootfs"
	"imprint/guest/clouddir"
)

func cleanCommand(dir *string) *cobra.Command {
	var logs, seed bool
	cmd := &cobra.Command{
		Use:     "clean",
		Short:   "Forget this instance, so that the next boot is a first one",
		Long:    "Removes what the boots left below /var/lib/cloud. The seed directory and the\nlogs stay unless asked for.",
		Example: "  cloud-init clean\n  cloud-init clean --logs --seed",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			root, err := rootfs.Open(*dir)
			if err != nil {
				return err
			}
			defer root.Close()
			return clouddir.New(root, nil).Clean(seed, logs)
		},
	}
	cmd.Flags().BoolVarP(&logs, "logs", "l", false, "remove the logs too")
	cmd.Flags().BoolVarP(&seed, "seed", "s", false, "remove /var/lib/cloud/seed too")
	return cmd
}
