package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"imprint/base/rootfs"
	"imprint/guest/clouddir"
	"imprint/guest/distro"
)

// cleanHooks are programs that clean up with us. cloud-init: settings.py
// CLEAN_RUNPARTS_DIR.
const cleanHooks = "/etc/cloud/clean.d"

func (p *program) cleanCommand(ctx context.Context) *command {
	var logs, seed, machineID, reboot bool
	return &command{
		name:    "clean",
		summary: "Remove logs and artifacts so cloud-init can re-run.",
		about:   "Remove logs and artifacts so cloud-init re-runs on a clean system",
		options: []option{
			{names: []string{"-l", "--logs"}, flag: &logs, help: "Remove cloud-init logs."},
			{names: []string{"--machine-id"}, flag: &machineID, help: "Remove /etc/machine-id for golden image creation. Next boot generates a new machine-id."},
			{names: []string{"-r", "--reboot"}, flag: &reboot, help: "Reboot system after logs are cleaned so cloud-init re-runs."},
			{names: []string{"-s", "--seed"}, flag: &seed, help: "Remove cloud-init seed directory /var/lib/cloud/seed."},
		},
		run: func() int {
			return p.withRoot(func(root *rootfs.Root) int {
				err := clean(ctx, root, logs, seed)
				if machineID {
					if rerr := root.Remove("/etc/machine-id"); !errors.Is(rerr, fs.ErrNotExist) {
						err = errors.Join(err, rerr)
					}
				}
				if err == nil && reboot {
					err = distro.Exec(root)(ctx, distro.Command{Args: []string{"shutdown", "-r", "now"}, Output: p.out, Errors: p.err})
				}
				if err != nil {
					fmt.Fprintf(p.err, "Error:\n%v\n", err)
					return exitFailed
				}
				return exitOK
			})
		},
	}
}

// clean removes what the boots left and runs the hooks.
func clean(ctx context.Context, root *rootfs.Root, logs, seed bool) error {
	if err := clouddir.New(root, nil).Clean(seed, logs); err != nil {
		return err
	}
	entries, err := root.ReadDir(cleanHooks)
	if err != nil {
		return nil // there are none
	}
	var errs []error
	for _, e := range entries {
		file := path.Join(cleanHooks, e.Name())
		if info, err := root.Stat(file); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			continue
		}
		if err := distro.Exec(root)(ctx, distro.Command{Args: []string{file}}); err != nil {
			errs = append(errs, fmt.Errorf("Failure during run-parts of %s: %w", cleanHooks, err)) //lint:ignore ST1005 cloud-init's words
		}
	}
	return errors.Join(errs...)
}
