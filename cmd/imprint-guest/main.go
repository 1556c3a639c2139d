// Command imprint-guest does cloud-init's work inside an instance: it finds
// the instance's data, configures the network, and applies user data.
//
// It is also installed under the name cloud-init, and takes cloud-init's
// commands; the name it is called by is only printed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
)

// version is cloud-init's whose behaviour this program follows, and whose it is.
const version = "22.4.2-imprint"

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// errFailed ends the program with status 1 without a further message.
var errFailed = errors.New("failed")

// usageError is a wrong command line.
type usageError struct{ error }

func main() {
	syscall.Umask(0o022)
	os.Exit(run(os.Args, os.Stdout, os.Stderr))
}

// run is the program with its arguments and streams; it returns its status.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	root := rootCommand(filepath.Base(args[0]))
	root.SetArgs(args[1:])
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errFailed):
		return exitFailed
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "%s: error: %v\nTry '%s --help'.\n", root.Name(), err, root.Name())
		return exitUsage
	}
	fmt.Fprintf(stderr, "%s: error: %v\n", root.Name(), err)
	return exitFailed
}

const longHelp = `Configures this instance from the data that its cloud has for it.

A boot runs four stages, each once:
  init --local          find the data, configure the network
  init                  take user data apart, run the init modules
  modules --mode=config run the config modules
  modules --mode=final  run scripts, say that the boot is done

Exit status: 0 done, 1 something failed (see status --long), 2 wrong usage.`

const rootExamples = `  %[1]s status --long
  %[1]s query v1.local_hostname
  %[1]s single --name timezone --frequency always
  %[1]s clean --logs`

func rootCommand(name string) *cobra.Command {
	var dir string
	root := &cobra.Command{
		Use:               name,
		Short:             "Configure an instance from its cloud's metadata",
		Long:              longHelp,
		Example:           fmt.Sprintf(rootExamples, name),
		Version:           version,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q", args[0])}
			}
			return nil
		},
		RunE: func(*cobra.Command, []string) error { return usageError{errors.New("a command is required")} },
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetHelpCommand(&cobra.Command{Hidden: true})
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.PersistentFlags().StringVar(&dir, "root", "/", "work on the system in this directory, which does not run")
	root.AddCommand(initCommand(&dir), modulesCommand(&dir), singleCommand(&dir),
		statusCommand(&dir), queryCommand(&dir), cleanCommand(&dir), teeCommand())
	return root
}

// noArgs refuses arguments as a wrong usage.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unexpected argument %q", args[0])}
	}
	return nil
}
