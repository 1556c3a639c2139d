package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// commandsCommand prints docs/commands.md.
func commandsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "commands", Short: "print a reference of all commands in Markdown", Args: cobra.NoArgs,
		Example: "  imprint commands > commands.md",
		Run:     func(cmd *cobra.Command, _ []string) { writeReference(cmd.OutOrStdout(), cmd.Root()) },
	}
}

// writeReference writes a section for each command that does something.
func writeReference(w io.Writer, root *cobra.Command) {
	fmt.Fprintf(w, "# Commands of %s\n\n%s\n\nThis page is what `%s commands` prints.\n", root.Name(), root.Long, root.Name())
	writeCommands(w, root)
}

func writeCommands(w io.Writer, above *cobra.Command) {
	for _, c := range above.Commands() {
		if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		if c.HasSubCommands() {
			writeCommands(w, c)
			continue
		}
		text := c.Long
		if text == "" {
			text = strings.ToUpper(c.Short[:1]) + c.Short[1:] + "."
		}
		c.InitDefaultHelpFlag()
		fmt.Fprintf(w, "\n## %s\n\n%s\n\n```\n%s\n\n%s```\n", c.CommandPath(), text, c.UseLine(), c.NonInheritedFlags().FlagUsages())
		if c.Example != "" {
			fmt.Fprintf(w, "\nExamples:\n\n```\n%s\n```\n", c.Example)
		}
	}
}
