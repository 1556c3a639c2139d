// Imprint is the host side: everything that an instance is told at its first
// boot, from the API down to the wire. This is its composition root.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// buildVersion is set by the linker.
var buildVersion string

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1 // the command ran and failed, or a check did not hold
	exitUsage  = 2 // the command line is wrong
)

func main() {
	if status, ours := reexec(os.Args); ours {
		os.Exit(status)
	}
	os.Exit(run(context.Background(), os.Args[1:]))
}

// run runs one command and returns the exit status.
func run(ctx context.Context, args []string) int {
	root := rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if errors.Is(err, errStory) {
		return exitFailed
	}
	fmt.Fprintln(os.Stderr, "imprint: error:", err)
	if usage := (*usageError)(nil); errors.As(err, &usage) {
		fmt.Fprintln(os.Stderr, "Try 'imprint --help'.")
		return exitUsage
	}
	return exitFailed
}

// usageError is a wrong command line.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "imprint",
		Short: "everything an instance learns at its first boot",
		Long: "Imprint serves, carries and applies what an instance learns at its first boot, behind an\n" +
			"OpenStack-compatible API.\n\n" +
			"Exit status: 0 done; 1 failed, or a check did not hold; 2 wrong command line.",
		Example:       "  imprint demo            # from nothing to configured instances, and away again\n  imprint up              # the same cloud, left to you",
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(upCommand(), downCommand(), reloadCommand(), demoCommand(), serveCommand(), agentCommand(),
		proxyCommand(), nodeCommand(), authorityCommand(), configDriveCommand(), bareMetalCommand(), configCommand(), commandsCommand(), versionCommand())
	tellUsage(root)
	return root
}

// tellUsage makes wrong arguments of a command and those below it usage errors.
func tellUsage(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return &usageError{err}
			}
			return nil
		}
	}
	for _, below := range c.Commands() {
		tellUsage(below)
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version", Args: cobra.NoArgs,
		Run: func(*cobra.Command, []string) { fmt.Println("imprint", version()) },
	}
}

// version is the build's version: the linker's, else the module's.
func version() string {
	if buildVersion != "" {
		return buildVersion
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// needRoot refuses to go on for anyone but root.
func needRoot(what string) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%s needs root: it makes network namespaces, nftables rules and containers (try: sudo %s)", what, what)
	}
	return nil
}
