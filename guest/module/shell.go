package module

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"imprint/base/cloudconfig"
	"imprint/guest/clouddir"
	"imprint/guest/distro"
)

// shellify makes a shell script of a list of commands: a string is a line of
// it, a list is one command with quoted arguments, null is nothing.
// cloud-init: util.py shellify.
func shellify(commands *cloudconfig.Node) (string, error) {
	if kindOf(commands) != cloudconfig.KindList {
		return "", commands.Errorf("expected a list of commands")
	}
	var b strings.Builder
	b.WriteString("#!/bin/sh\n")
	for _, c := range commands.Items() {
		switch c.Kind {
		case cloudconfig.KindNull:
		case cloudconfig.KindString:
			b.WriteString(c.String() + "\n")
		case cloudconfig.KindList:
			words := make([]string, len(c.Items()))
			for i, w := range c.Items() {
				words[i] = "'" + strings.ReplaceAll(w.String(), "'", `'\''`) + "'"
			}
			b.WriteString(strings.Join(words, " ") + "\n")
		default:
			return "", c.Errorf("a command is a string or a list, not %s", c)
		}
	}
	return b.String(), nil
}

// scratchDir is where scripts stand while they run. cloud-init: temp_utils.py.
const scratchDir = clouddir.RunDir + "/tmp"

// Bootcmd runs the commands of bootcmd at once, with INSTANCE_ID set.
func Bootcmd(ctx context.Context, e *Env) error {
	root := e.Distro.Root
	if err := root.MkdirAll(scratchDir, 0o777|fs.ModeSticky); err != nil {
		return fmt.Errorf("make %s: %w", scratchDir, err)
	}
	script, err := shellify(e.Config.Get("bootcmd"))
	if err != nil {
		return fmt.Errorf("bootcmd: %w", err)
	}
	file := fmt.Sprintf("%s/tmp%s.sh", scratchDir, strings.ToLower(rand.Text()[:8]))
	if err := root.WriteFile(file, []byte(script), 0o700); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	run := e.Distro.Runner(ctx, distro.Command{
		Args:   []string{"/bin/sh", file},
		Env:    []string{"INSTANCE_ID=" + e.Cloud.InstanceID},
		Output: e.Output, Errors: e.Errors,
	})
	return errors.Join(run, root.Remove(file))
}

// Runcmd writes the commands of runcmd as a script that scripts-user runs.
func Runcmd(_ context.Context, e *Env) error {
	script, err := shellify(e.Config.Get("runcmd"))
	if err != nil {
		return fmt.Errorf("runcmd: %w", err)
	}
	return e.Dir.WriteScript("scripts/runcmd", []byte(script))
}

// The script modules each run all executables of one directory.

// ScriptsUser runs the user data's scripts and runcmd.
func ScriptsUser(ctx context.Context, e *Env) error {
	return e.runParts(ctx, path.Join(clouddir.InstanceLink, "scripts"))
}

// ScriptsVendor runs the vendor data's scripts, behind the words of
// vendor_data.prefix if there are any.
func ScriptsVendor(ctx context.Context, e *Env) error {
	prefix, err := e.Config.Get("vendor_data").Strings("prefix")
	if err != nil {
		return err
	}
	return e.runParts(ctx, path.Join(clouddir.InstanceLink, "scripts/vendor"), prefix...)
}

// ScriptsPerOnce runs the scripts that run once in the system's life.
func ScriptsPerOnce(ctx context.Context, e *Env) error {
	return e.runParts(ctx, path.Join(clouddir.CloudDir, "scripts/per-once"))
}

// ScriptsPerBoot runs the scripts of each boot.
func ScriptsPerBoot(ctx context.Context, e *Env) error {
	return e.runParts(ctx, path.Join(clouddir.CloudDir, "scripts/per-boot"))
}

// ScriptsPerInstance runs the scripts of each instance.
func ScriptsPerInstance(ctx context.Context, e *Env) error {
	return e.runParts(ctx, path.Join(clouddir.CloudDir, "scripts/per-instance"))
}

// runParts runs the executable files of dir by name, all of them even if some
// fail. cloud-init: subp.py runparts.
func (e *Env) runParts(ctx context.Context, dir string, prefix ...string) error {
	entries, err := e.Distro.Root.ReadDir(dir)
	if err != nil {
		return nil // no such directory: nothing to run
	}
	var failed []string
	attempted := 0
	for _, entry := range entries {
		file := path.Join(dir, entry.Name())
		info, err := e.Distro.Root.Stat(file)
		if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			continue
		}
		attempted++
		if err := e.Distro.Runner(ctx, distro.Command{Args: append(slices.Clone(prefix), file), Output: e.Output, Errors: e.Errors}); err != nil {
			e.Log.Debug(err.Error())
			failed = append(failed, entry.Name())
		}
	}
	if len(failed) > 0 {
		e.Log.Warn("Failed to run scripts in " + dir)
		//lint:ignore ST1005 cloud-init's words
		return fmt.Errorf("Runparts: %d failures (%s) in %d attempted commands",
			len(failed), strings.Join(failed, ","), attempted)
	}
	return nil
}
