package main

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestCommandsAreDocumented: docs/commands.md is what the program says, and
// every command has an example.
func TestCommandsAreDocumented(t *testing.T) {
	var want strings.Builder
	root := rootCommand()
	writeReference(&want, root)
	got, err := os.ReadFile("../../docs/commands.md")
	if err != nil || string(got) != want.String() {
		t.Errorf("docs/commands.md is not what 'imprint commands' prints (make docs): %v", err)
	}
	eachCommand(root, func(c *cobra.Command) {
		if c.Example == "" && !c.HasSubCommands() && c.Name() != "version" {
			t.Errorf("%s has no example", c.CommandPath())
		}
		if c.Long == "" && c.Short == "" {
			t.Errorf("%s says nothing of itself", c.CommandPath())
		}
	})
}

func eachCommand(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, below := range c.Commands() {
		eachCommand(below, visit)
	}
}
