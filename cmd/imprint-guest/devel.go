package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"imprint/base/rootfs"
)

func (p *program) develCommand() *command {
	return &command{
		name:    "devel",
		summary: "Run development tools.",
		subs:    []*command{p.renderCommand(), p.makeMIMECommand()},
	}
}

func (p *program) renderCommand() *command {
	var file, data string
	var debug bool
	return &command{
		name:    "render",
		summary: "Render jinja template using instance data.",
		options: []option{
			{names: []string{"-i", "--instance-data"}, meta: "INSTANCE_DATA", value: &data, help: "Optional path to instance-data.json file. Defaults to " + publicData},
			{names: []string{"-d", "--debug"}, flag: &debug, help: "Add verbose messages during template render"},
		},
		args: []positional{{name: "user_data", value: &file, help: "Path to the user-data file to render"}},
		run: func() int {
			return p.withRoot(func(root *rootfs.Root) int { return p.renderFile(root, file, data) })
		},
	}
}

// renderFile prints a template's text with this instance's data.
func (p *program) renderFile(root *rootfs.Root, file, name string) int {
	read := os.ReadFile
	if name == "" {
		name, read = p.dataFile(root), root.ReadFile
	}
	text, err := read(name)
	if err != nil {
		return p.fail(fmt.Errorf("Missing instance-data.json file: %s", name)) //lint:ignore ST1005 cloud-init's words
	}
	data, err := decode(text)
	if err != nil {
		return p.fail(fmt.Errorf("read %s: %w", name, err))
	}
	template, err := os.ReadFile(file)
	if err != nil {
		return p.fail(fmt.Errorf("Missing user-data file: %s", file)) //lint:ignore ST1005 cloud-init's words
	}
	first, _, _ := strings.Cut(string(template), "\n")
	if kind, ok := strings.CutPrefix(strings.TrimSpace(first), "## template:"); !ok || strings.TrimSpace(kind) != "jinja" {
		return p.fail(errors.New("Cannot render from instance data due to exception: NotJinjaError('Payload is not a jinja template')")) //lint:ignore ST1005 cloud-init's words
	}
	return p.render(string(template), file, data)
}
