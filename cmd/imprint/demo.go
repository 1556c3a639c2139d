package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"

	"imprint/base/daemon"
	"imprint/host/config"
	"imprint/host/container"
)

// demoOptions are the flags of imprint demo.
type demoOptions struct {
	stateDir, configFile, tree, login, kill string
	keep, apart                             bool
}

func demoCommand() *cobra.Command {
	var o demoOptions
	c := &cobra.Command{
		Use:   "demo",
		Short: "start everything on an empty state directory and play the story of two first boots",
		Long: "Demo starts 'imprint up' on an empty state directory, creates a key pair, a network, a router and servers\n" +
			"through the public REST API, looks at each instance from outside with stock tools, and takes everything down.\n\n" +
			"It exits 0 only if every check held. With CI=true a check that could not run counts as failed.",
		Example: "  imprint demo\n  imprint demo --keep\n  imprint demo --apart\n  imprint demo --apart --kill store@3\n" +
			"  imprint demo --config trees.yaml --tree bookworm --login debian",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needRoot("imprint demo"); err != nil {
				return err
			}
			ctx, _, stop := daemon.Signals(cmd.Context())
			defer stop()
			signal.Ignore(syscall.SIGPIPE) // who stops reading does not leave a cloud behind
			return runDemo(ctx, o)
		},
	}
	c.Flags().StringVar(&o.stateDir, "state-dir", "/var/lib/imprint-demo", "empty or absent directory for everything the demo makes")
	c.Flags().StringVar(&o.configFile, "config", "", "configuration file (default: built-in defaults)")
	c.Flags().StringVar(&o.tree, "tree", config.HostTree, "root file system of the instances, by its name in the configuration")
	c.Flags().StringVar(&o.login, "login", "debian", "login user of that tree")
	c.Flags().BoolVar(&o.apart, "apart", false, "run each role as a process and a user of its own, not all in 'imprint up'")
	c.Flags().StringVar(&o.kill, "kill", "", "NAME@STEP: kill -9 a process in the middle of a step and start it again; NAME is up, or with --apart\n"+
		"store, api, metadata-1, metadata-2, agent-metadata, agent-network or agent-compute")
	c.Flags().BoolVar(&o.keep, "keep", false, "leave everything running and say how to go on")
	return c
}

// Files of a demo in its state directory: what its imprint up logs, and its
// configuration, which the story changes.
const (
	logName    = "imprint.log"
	configName = "imprint.yaml"
)

// writeConfig writes the configuration that the demo's imprint up reads.
// It has no secrets: the users of a demo's processes read it.
func writeConfig(stateDir string, c config.Config) error {
	text, err := yaml.Marshal(c)
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return writeWhole(filepath.Join(stateDir, configName), text, 0o644)
}

// errStory says that the story ran and some checks did not hold; what they
// were is printed already.
var errStory = errors.New("not every check held")

func runDemo(ctx context.Context, o demoOptions) error {
	// imprint up is to end with the thread that started it, so this one stays.
	runtime.LockOSThread()
	conf, err := config.Load(o.configFile)
	if err != nil {
		return err
	}
	var killed *fault
	if o.kill != "" {
		if killed, err = parseFault(o.kill); err != nil {
			return err
		}
	}
	if err := emptyDir(o.stateDir); err != nil {
		return err
	}
	before, err := leftovers(conf.Network.Prefix, o.stateDir)
	if err != nil {
		return err
	}
	r := newReport(os.Stdout, int(os.Stdout.Fd()), os.Getenv("CI") == "true")
	fmt.Fprintf(r.out, "Imprint %s: from nothing to a configured instance\n   state directory %s\n", version(), o.stateDir)
	conf.Compute.FlatInjected = true // for the network without DHCP
	if o.apart {
		conf.Metadata.ProxySocket = filepath.Join(o.stateDir, proxySocket)
	}
	if err := writeConfig(o.stateDir, conf); err != nil {
		return err
	}
	running, err := startCloud(ctx, o, conf)
	if err != nil {
		return joinErrors(err, os.RemoveAll(o.stateDir))
	}
	for _, c := range running.children {
		r.asked("%s is ready, process %d of user %d", c.name, c.cmd.Process.Pid, c.uid)
	}
	playErr := playStory(ctx, r, conf, o, running, killed)
	switch {
	case ctx.Err() != nil:
		r.check("the story is played to its end", false, "interrupted")
	case playErr != nil:
		r.check("the story is played to its end", false, playErr.Error())
		printTrouble(r, o)
	}
	if o.keep && ctx.Err() == nil {
		r.summary()
		printNext(r, conf, o, running)
	} else {
		r.step("everything is taken down")
		err := running.stop(ctx)
		r.check("every process ends without an error", err == nil, seen("", err))
		checkClean(r, conf, o, before)
		r.summary()
	}
	if !r.ok() {
		return errStory
	}
	return nil
}

// emptyDir makes sure that dir is absent or empty, and makes it.
func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("state directory: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("state directory %s is not empty: if a demo is still there, 'imprint down --state-dir %s', then remove it; or choose another with --state-dir", dir, dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	return os.Chmod(dir, 0o700)
}

// printTrouble prints what imprint up's log has of warnings and errors, the
// last of them.
func printTrouble(r *report, o demoOptions) {
	text, err := os.ReadFile(filepath.Join(o.stateDir, logName))
	if err != nil {
		fmt.Fprintf(r.out, "     no log: %v\n", err)
		return
	}
	var trouble []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, `"level":"WARN"`) || strings.Contains(line, `"level":"ERROR"`) {
			trouble = append(trouble, line)
		}
	}
	for _, line := range trouble[max(0, len(trouble)-10):] {
		fmt.Fprint(r.out, "     ", line)
	}
}

// playStory logs in and plays the steps, in one of which a process is killed
// if that is wanted.
func playStory(ctx context.Context, r *report, conf config.Config, o demoOptions, running *demoCloud, killed *fault) error {
	cred, err := adminCredentials(conf, running.apiDir)
	if err != nil {
		return err
	}
	cl, err := login(ctx, cred)
	if err != nil {
		return err
	}
	s := &story{
		report: r, client: cl, cloud: running, machines: container.New(container.Config{Dir: filepath.Join(running.nodeDir, instancesDir)}),
		stateDir: o.stateDir, conf: conf, tree: o.tree, loginAs: o.login,
	}
	if killed == nil {
		return s.play(ctx)
	}
	again, err := killed.arm(ctx, r, running)
	if err != nil {
		return err
	}
	return errors.Join(s.play(ctx), again())
}

// printNext says how to use what was left running.
func printNext(r *report, conf config.Config, o demoOptions, running *demoCloud) {
	cred, err := adminCredentials(conf, running.apiDir)
	if err != nil {
		fmt.Fprintf(r.out, "\nno credentials: %v\n", err)
		return
	}
	fmt.Fprintf(r.out, "\nEverything is left running. The stock client finds it with\n\n%s\nor with %s/clouds.yaml:\n\n"+
		"   export OS_CLIENT_CONFIG_FILE=%s/clouds.yaml OS_CLOUD=imprint\n\nWhat to try next:\n\n"+
		"   openstack server list\n   openstack console log show c3\n", cred.environment("   "), running.apiDir, running.apiDir)
	for _, dir := range running.stateDirs(o) {
		fmt.Fprintf(r.out, "   imprint down --state-dir %s\n", dir)
	}
}
