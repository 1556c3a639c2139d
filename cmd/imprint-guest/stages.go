package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"imprint/guest/clouddir"
	"imprint/guest/module"
	"imprint/guest/stage"
)

func (p *program) initCommand(ctx context.Context) *command {
	var local bool
	return &command{
		name:    "init",
		summary: "Initialize cloud-init and perform initial modules.",
		about: `With --local: finds the instance's data, configures the network, and brings
it up where no ifupdown does. Without: takes the user data apart and runs the
init modules.`,
		options: []option{{names: []string{"--local", "-l"}, flag: &local, help: "Start in local mode (default: False)."}},
		run: func() int {
			if local {
				return p.stage(ctx, "local")
			}
			return p.stage(ctx, "network")
		},
	}
}

func (p *program) modulesCommand(ctx context.Context) *command {
	mode := "config"
	return &command{
		name:    "modules",
		summary: "Activate modules using a given configuration key.",
		options: []option{{names: []string{"--mode", "-m"}, choices: []string{"init", "config", "final"}, value: &mode,
			help: "Module configuration name to use (default: config)."}},
		run: func() int { return p.stage(ctx, mode) },
	}
}

// stage runs one stage; if one process runs them all, it does that there.
func (p *program) stage(ctx context.Context, name string) int {
	if p.dir == "/" {
		if status, ok := handOver(ctx, p.out, name); ok {
			return status
		}
	}
	return p.runStage(ctx, name)
}

func (p *program) runStage(ctx context.Context, name string) int {
	wait := networkPatience()
	if name == "local" {
		wait = localPatience()
	}
	return p.withBoot(wait, func(b *stage.Boot) int {
		switch name {
		case "local":
			return len(b.RunLocal(ctx))
		case "network":
			return len(b.RunInit(ctx))
		}
		return len(b.RunModules(ctx, name))
	})
}

func (p *program) singleCommand(ctx context.Context) *command {
	var name, frequency string
	var report bool
	var args []string
	return &command{
		name:    "single",
		summary: "Run a single module.",
		about: `Runs one module with this instance's configuration, unless it already ran at
its frequency; --frequency always runs it in any case.

Modules: ` + strings.Join(moduleNames(), ", "),
		options: []option{
			{names: []string{"--name", "-n"}, meta: "NAME", value: &name, needed: true, help: "module name to run"},
			{names: []string{"--frequency"}, choices: []string{"instance", "always", "once"}, value: &frequency, help: "Set module frequency."},
			{names: []string{"--report"}, flag: &report, help: "Enable reporting."},
		},
		args: []positional{{name: "argument", values: &args, help: "Any additional arguments to pass to this module."}},
		run: func() int {
			var often clouddir.Frequency
			if frequency != "" {
				often, _ = clouddir.ParseFrequency(frequency) // it is one of the choices
			}
			return p.withBoot(networkPatience(), func(b *stage.Boot) int {
				err := b.RunSingle(ctx, name, args, often, report)
				if err == nil {
					return exitOK
				}
				if !errors.Is(err, stage.ErrUnknownModule) {
					fmt.Fprintln(p.err, "ERROR:", err)
				}
				return exitFailed
			})
		},
	}
}

func (p *program) featuresCommand() *command {
	return &command{name: "features", summary: "List defined features.", run: func() int {
		fmt.Fprintln(p.out, "NETWORK_CONFIG_V1\nNETWORK_CONFIG_V2")
		return exitOK
	}}
}

// moduleNames are the names of all modules in the order of a boot.
func moduleNames() []string {
	var names []string
	for _, m := range slices.Concat(initModules(), configModules(), finalModules()) {
		names = append(names, m.Name)
	}
	return names
}

// absentModules are those of cloud-init 22.4 that this agent does not have.
func absentModules() []string {
	all := strings.Fields(`apk-configure apt-configure apt-pipelining ansible bootcmd byobu ca-certs chef debug
		disable-ec2-metadata disk_setup fan final-message foo growpart grub-dpkg install-hotplug keyboard
		keys-to-console landscape locale lxd mcollective migrator mounts ntp
		package-update-upgrade-install phone-home power-state-change puppet refresh_rmc_and_interface
		reset_rmc resizefs resolv_conf rh_subscription rightscale_userdata rsyslog runcmd salt-minion
		scripts-per-boot scripts-per-instance scripts-per-once scripts-user scripts-vendor seed_random
		set_hostname set-passwords snap spacewalk ssh ssh-authkey-fingerprints ssh-import-id timezone
		ubuntu-autoinstall ubuntu-advantage ubuntu-drivers update_etc_hosts update_hostname users-groups
		wireguard write-files write-files-deferred yum_add_repo zypper_add_repo`)
	have := slices.Concat(initModules(), configModules(), finalModules())
	return slices.DeleteFunc(all, func(name string) bool {
		return slices.ContainsFunc(have, func(m module.Module) bool { return m.Named(name) })
	})
}
