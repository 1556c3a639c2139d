// Command imprint-guest does cloud-init's work inside an instance: it finds
// the instance's data, configures the network, and applies user data.
//
// It is also installed under the name cloud-init, and takes cloud-init's
// commands; cloud-id and cloud-init-generator are other names of it that stand
// for the commands cloud-id and generator.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"imprint/base/rootfs"
)

// version is cloud-init's whose behaviour this program follows, and whose it is.
const version = "22.4.2-imprint"

// Exit statuses. The stages give the number of their errors.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	syscall.Umask(0o022)
	runtime.GOMAXPROCS(1) // one thing is done at a time; more threads only cost
	os.Exit(run(os.Args, os.Stdout, os.Stderr))
}

// program is one run of the program.
type program struct {
	out, err io.Writer
	name     string // as which it was called

	dir     string // of the system
	version bool
	stages  bool
	debug   bool
	force   bool
	files   []string
}

// run is the program with its arguments and streams; it returns its status.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	p := &program{out: stdout, err: stderr, name: called(args[0]), dir: "/"}
	rest := args[1:]
	switch base := filepath.Base(args[0]); base {
	case "cloud-id":
		rest = append([]string{base}, rest...)
	case "cloud-init-generator":
		rest = append([]string{"generator"}, rest...)
	}
	root := p.commands(ctx)
	cmd, help, err := root.parse(rest)
	switch {
	case p.version:
		fmt.Fprintln(stdout, p.name, version)
		return exitOK
	case p.stages:
		return p.allStages(ctx)
	case help:
		fmt.Fprint(stdout, cmd.help())
		return exitOK
	}
	var wrong *usageError
	if errors.As(err, &wrong) {
		fmt.Fprintf(stderr, "%s%s: error: %s\n", wrong.in.usage(), wrong.in.path(), wrong.text)
		return exitUsage
	}
	return cmd.run()
}

// called is the program's name as a script's is: with its directory.
func called(name string) string {
	if !strings.Contains(name, "/") {
		if full, err := exec.LookPath(name); err == nil {
			return full
		}
	}
	return name
}

// fail prints an error that is not the stages' and returns its status.
func (p *program) fail(err error) int {
	fmt.Fprintf(p.err, "ERROR: %v\n", err)
	return exitFailed
}

// withRoot opens the system's root for work.
func (p *program) withRoot(work func(*rootfs.Root) int) int {
	root, err := rootfs.Open(p.dir)
	if err != nil {
		return p.fail(err)
	}
	defer root.Close()
	return work(root)
}

const about = `Configures this instance from the data that its cloud has for it.

A boot runs four stages, each once:
  init --local          find the data, configure the network
  init                  take user data apart, run the init modules
  modules --mode=config run the config modules
  modules --mode=final  run scripts, say that the boot is done
With --all-stages one process runs them all, each when its unit says so.

With --root DIR the system in that directory, which does not run, is worked on.

Examples:
  cloud-init status --long
  cloud-init query v1.local_hostname
  cloud-init single --name timezone --frequency always
  cloud-init clean --logs
  cloud-init apply --root /mnt --seed ./seed

Exit status: 0 done; otherwise the number of errors of a stage (see status
--long), 1 for other commands; 2 wrong usage.`

// commands is the whole command line.
func (p *program) commands(ctx context.Context) *command {
	root := &command{name: p.name, about: about, options: []option{
		{names: []string{"--version", "-v"}, flag: &p.version, help: "Show program's version number and exit."},
		{names: []string{"--file", "-f"}, meta: "FILES", values: &p.files, help: "Use additional yaml configuration files."},
		{names: []string{"--debug", "-d"}, flag: &p.debug, help: "Show additional pre-action logging (default: False)."},
		{names: []string{"--force"}, flag: &p.force, help: "Force running even if no datasource is found (use at your own risk)."},
		{names: []string{"--root"}, meta: "DIR", value: &p.dir},
		{names: []string{"--all-stages"}, flag: &p.stages},
	}}
	root.subs = []*command{
		p.initCommand(ctx), p.modulesCommand(ctx), p.singleCommand(ctx), p.queryCommand(), p.featuresCommand(),
		p.analyzeCommand(), p.develCommand(), p.collectCommand(), p.cleanCommand(ctx), p.statusCommand(ctx),
		p.applyCommand(ctx), p.idCommand(), p.generatorCommand(), p.teeCommand(),
	}
	join(root)
	return root
}

// join tells commands what they are part of.
func join(c *command) {
	for _, s := range c.subs {
		s.parent = c
		join(s)
	}
}
