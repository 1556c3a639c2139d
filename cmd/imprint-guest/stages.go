package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"imprint/guest/clouddir"
	"imprint/guest/stage"
)

func initCommand(dir *string) *cobra.Command {
	var local bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Find the instance's data and run the init modules",
		Long: `With --local: finds the instance's data, configures the network, and brings
it up where no ifupdown does. Without: takes the user data apart and runs the
init modules.

Exit status: 0 done, 1 something failed; the rest was done all the same.`,
		Example: "  cloud-init init --local\n  cloud-init init",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			wait := networkPatience()
			if local {
				wait = localPatience()
			}
			return withBoot(*dir, cmd.ErrOrStderr(), wait, func(b *stage.Boot) []string {
				if local {
					return b.RunLocal(cmd.Context())
				}
				return b.RunInit(cmd.Context())
			})
		},
	}
	cmd.Flags().BoolVarP(&local, "local", "l", false, "the stage before the network is up")
	return cmd
}

func modulesCommand(dir *string) *cobra.Command {
	var mode string
	cmd := &cobra.Command{
		Use:     "modules --mode=config|final",
		Short:   "Run the modules of a stage",
		Long:    "Runs the modules of the config or the final stage.\n\nExit status: 0 done, 1 something failed; the rest was done all the same.",
		Example: "  cloud-init modules --mode=config\n  cloud-init modules --mode=final",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if mode != "config" && mode != "final" {
				return usageError{fmt.Errorf("--mode is config or final, not %q", mode)}
			}
			return withBoot(*dir, cmd.ErrOrStderr(), networkPatience(), func(b *stage.Boot) []string {
				if mode == "final" {
					return b.RunFinal(cmd.Context())
				}
				return b.RunConfig(cmd.Context())
			})
		},
	}
	cmd.Flags().StringVarP(&mode, "mode", "m", "config", "config or final")
	return cmd
}

func singleCommand(dir *string) *cobra.Command {
	var name, frequency string
	cmd := &cobra.Command{
		Use:   "single --name MODULE",
		Short: "Run one module",
		Long: `Runs one module with this instance's configuration, unless it already ran at
its frequency; --frequency always runs it in any case.

Modules: ` + moduleNames() + `

Exit status: 0 done or already run before, 1 it failed.`,
		Example: "  cloud-init single --name timezone --frequency always",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if name == "" {
				return usageError{errors.New("--name is required")}
			}
			var f clouddir.Frequency
			if frequency != "" {
				var err error
				if f, err = clouddir.ParseFrequency(frequency); err != nil {
					return usageError{fmt.Errorf("--frequency: %w", err)}
				}
			}
			return withBoot(*dir, cmd.ErrOrStderr(), networkPatience(), func(b *stage.Boot) []string {
				return errorsOf(b.RunSingle(cmd.Context(), name, f))
			})
		},
	}
	cmd.Flags().StringVarP(&name, "name", "n", "", "the module")
	cmd.Flags().StringVar(&frequency, "frequency", "", "instance, always or once, in place of the module's own")
	return cmd
}

// moduleNames are the names of all modules in the order of a boot.
func moduleNames() string {
	var names []string
	for _, m := range append(append(initModules(), configModules()...), finalModules()...) {
		names = append(names, m.Name)
	}
	return strings.Join(names, ", ")
}
