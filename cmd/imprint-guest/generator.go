package main

import (
	"os"
	"strings"

	"imprint/base/rootfs"
	"imprint/guest/datasource"
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
				g := stage.Generator{Root: root, Identify: func() stage.Identification { return identify(root, p.files) }, Target: "/lib/systemd/system/cloud-init.target"}
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

// identify finds out which sources are here, from the machine alone.
func identify(root *rootfs.Root, files []string) stage.Identification {
	config, _ := (&stage.Configs{Root: root, Files: files}).System() // what cannot be read, the stages tell
	env := datasource.Env{Root: root, Disks: datasource.DevDisks{Root: root}}
	var names, reasons []string
	for _, s := range sources(config, 0) {
		e := s.Detect(env)
		reasons = append(reasons, e.Source+": "+string(e.Verdict)+": "+e.Reason)
		if e.Verdict == datasource.Present && s.Name() != "None" {
			names = append(names, s.Name())
		}
	}
	i := stage.Identification{Enabled: len(names) > 0, Reason: strings.Join(reasons, "\n")}
	if i.Enabled {
		i.Config = "datasource_list: [ " + strings.Join(append(names, "None"), ", ") + " ]\n"
	}
	return i
}
