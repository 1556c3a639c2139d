package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"imprint/host/enroll"
)

func authorityCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "authority",
		Short: "issue certificates to the roles of a cloud whose parts are processes of their own",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(authorityIssueCommand())
	return c
}

func authorityIssueCommand() *cobra.Command {
	var stateDir, to string
	var hosts []string
	c := &cobra.Command{
		Use:   "issue store|metadata",
		Short: "make a key and a certificate for a service",
		Long: "Issue is run as the user of 'serve api', whose state directory has the authority; it is made when it is not\n" +
			"there yet. What it writes belongs in identity/ of the service's state directory, for the service's user\n" +
			"alone. The service renews it by itself.",
		Example: "  setpriv --reuid imprint-api --regid imprint-api --clear-groups \\\n" +
			"    imprint authority issue store --host 127.0.0.1 --to /var/lib/imprint-api/issued/store\n" +
			"  install -d -o imprint-store -m 0700 /var/lib/imprint-store/identity\n" +
			"  install -o imprint-store -m 0600 /var/lib/imprint-api/issued/store/* /var/lib/imprint-store/identity",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{string(enroll.Store), string(enroll.Metadata)},
		RunE: func(cmd *cobra.Command, args []string) error {
			if to == "" {
				return &usageError{fmt.Errorf("--to: where the identity goes is missing")}
			}
			return issue(stateDir, enroll.Role(args[0]), hosts, to)
		},
	}
	c.Flags().StringVar(&stateDir, "state-dir", defaultAPIDir, "state directory of 'serve api'")
	c.Flags().StringVar(&to, "to", "", "directory for the key and the certificate")
	c.Flags().StringSliceVar(&hosts, "host", []string{"127.0.0.1"}, "names and addresses that others reach the service by")
	return c
}

// defaultAPIDir is the state directory of serve api.
const defaultAPIDir = "/var/lib/imprint-api"

func issue(stateDir string, role enroll.Role, hosts []string, to string) error {
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return fmt.Errorf("make state directory: %w", err)
	}
	if err := private(stateDir); err != nil {
		return err
	}
	authority, err := enroll.OpenAuthority(enroll.Options{Dir: filepath.Join(stateDir, authorityDir)})
	if err != nil {
		return err
	}
	return authority.Issue(role, hosts, to)
}
