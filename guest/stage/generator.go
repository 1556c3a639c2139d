package stage

import (
	"fmt"
	"path"
	"strings"

	"imprint/base/rootfs"
	"imprint/guest/clouddir"
)

// Identification is what is known of the data sources before any is asked.
type Identification struct {
	Enabled bool   // there is one
	Config  string // for the stages: datasource_list
	Reason  string // in words, lines
}

// Generator decides early in a boot, before any service starts, whether the
// stages run: systemd calls it with the directories of its units. The kernel's
// command line (cloud-init=enabled or disabled) comes before the files
// /etc/cloud/cloud-init.enabled and .disabled; without either the stages run
// if there is a data source. cloud-init: tools/cloud-init-generator.
type Generator struct {
	Root *rootfs.Root
	// CommandLine takes the kernel's place if it is not nil (the variable
	// KERNEL_CMDLINE).
	CommandLine *string
	// Identify finds out which data sources may be here.
	Identify func() Identification
	// Target is the unit that is wanted, if the stages run.
	Target string

	log strings.Builder
}

const (
	generatorLog  = clouddir.RunDir + "/cloud-init-generator.log"
	identifyMark  = clouddir.RunDir + "/.ds-identify.result"
	enabledMark   = clouddir.RunDir + "/enabled"
	disabledMark  = clouddir.RunDir + "/disabled"
	wantsInTarget = "multi-user.target.wants/cloud-init.target"
)

// Run decides, and writes the decision for systemd into early, one of its
// directories, and for everybody else below /run.
func (g *Generator) Run(early string) error {
	enabled := g.enabled()
	if enabled {
		enabled = g.identified()
	}
	link := path.Join(early, wantsInTarget)
	err := g.decide(enabled, link)
	g.say("%s: %s", map[bool]string{true: "enabled", false: "disabled"}[enabled], link)
	if werr := g.Root.WriteFile(generatorLog, []byte(g.log.String()), 0o644); err == nil {
		err = werr
	}
	return err
}

func (g *Generator) say(format string, args ...any) { fmt.Fprintf(&g.log, format+"\n", args...) }

func (g *Generator) decide(enabled bool, link string) error {
	on, off := enabledMark, disabledMark
	if !enabled {
		on, off = off, on
	}
	_ = g.Root.Remove(off) // it is mostly not there
	if err := g.Root.WriteFile(on, nil, 0o644); err != nil {
		return err
	}
	if !enabled {
		_ = g.Root.Remove(link)
		return nil
	}
	return g.Root.Symlink(g.Target, link)
}

func (g *Generator) enabled() bool {
	for _, w := range strings.Fields(g.commandLine()) {
		switch w {
		case "cloud-init=enabled":
			g.say("kernel command line: enabled")
			return true
		case "cloud-init=disabled":
			g.say("kernel command line: disabled")
			return false
		}
	}
	for _, word := range []string{"enabled", "disabled"} {
		if g.exists("/etc/cloud/cloud-init." + word) {
			g.say("/etc/cloud/cloud-init.%s is there", word)
			return word == "enabled"
		}
	}
	return true
}

func (g *Generator) exists(name string) bool {
	_, err := g.Root.Stat(name)
	return err == nil
}

// commandLine is the kernel's, or what stands for it.
func (g *Generator) commandLine() string {
	if g.CommandLine != nil {
		return *g.CommandLine
	}
	return CommandLine(g.Root)
}

// identified finds out which data sources may be here and leaves their names
// for the stages.
func (g *Generator) identified() bool {
	i := g.Identify()
	g.say("%s", strings.TrimSpace(i.Reason))
	result := "0\n"
	if !i.Enabled {
		result = "1\n"
	}
	for name, text := range map[string]string{identifyMark: result, runConfig: i.Config} {
		if text == "" {
			continue
		}
		if err := g.Root.WriteFile(name, []byte(text), 0o644); err != nil {
			g.say("%v", err)
		}
	}
	return i.Enabled
}
