package main

import (
	"os"

	"imprint/base/rootfs"
	"imprint/guest/datasource"
	"imprint/guest/datasource/identify"
	"imprint/guest/stage"
)

// generatorCommand is what systemd runs before any unit (systemd.generator(7)).
func (p *program) generatorCommand() *command {
	var normal, early, late string
	return &command{
		name:  "generator",
		about: "Decides for systemd whether the stages run at this boot.",
		args: []positional{{name: "normal", value: &normal, help: "systemd's directory of generated units"},
			{name: "early", optional: true, value: &early, help: "the same, before all others"},
			{name: "late", optional: true, value: &late, help: "the same, after all others"}},
		run: func() int {
			return p.withRoot(func(root *rootfs.Root) int {
				g := stage.Generator{Root: root, Identify: func() stage.Identification { return identified(root) }, Target: "/lib/systemd/system/cloud-init.target"}
				if line, ok := os.LookupEnv("KERNEL_CMDLINE"); ok {
					g.CommandLine = &line
				}
				if early == "" {
					early = normal
				}
				if err := g.Run(early); err != nil {
					return p.fail(err)
				}
				return exitOK
			})
		},
	}
}

// identified finds out which sources are here, from the machine alone.
func identified(root *rootfs.Root) stage.Identification {
	r := identify.Identify(datasource.Gather(datasource.Env{Root: root, Disks: datasource.DevDisks{Root: root}}))
	return stage.Identification{Enabled: r.Enabled, Config: r.Config(), Reason: r.Explain()}
}
