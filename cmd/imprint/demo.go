package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"

	"imprint/base/daemon"
	"imprint/host/config"
	"imprint/host/container"
)

// demoOptions are the flags of imprint demo.
type demoOptions struct {
	stateDir, configFile, tree, login string
	keep                              bool
}

func demoCommand() *cobra.Command {
	var o demoOptions
	c := &cobra.Command{
		Use:   "demo",
		Short: "start everything on an empty state directory and play the story of two first boots",
		Long: "Demo starts 'imprint up' on an empty state directory, creates a key pair, a network, a router and servers\n" +
			"through the public REST API, looks at each instance from outside with stock tools, and takes everything down.\n\n" +
			"It exits 0 only if every check held. With CI=true a check that could not run counts as failed.",
		Example: "  imprint demo\n  imprint demo --keep\n  imprint demo --config trees.yaml --tree bookworm --login debian",
		Args:    cobra.NoArgs,
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
func writeConfig(stateDir string, c config.Config) error {
	text, err := yaml.Marshal(c)
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return writeWhole(filepath.Join(stateDir, configName), text, 0o600)
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
	if err := writeConfig(o.stateDir, conf); err != nil {
		return err
	}
	up, err := startUp(ctx, o)
	if err != nil {
		return joinErrors(err, os.RemoveAll(o.stateDir))
	}
	r.asked("imprint up is ready, process %d, %.1f s", up.cmd.Process.Pid, r.now().Sub(r.began).Seconds())
	playErr := playStory(ctx, r, conf, o)
	switch {
	case ctx.Err() != nil:
		r.check("the story is played to its end", false, "interrupted")
	case playErr != nil:
		r.check("the story is played to its end", false, playErr.Error())
		printTrouble(r, o)
	}
	if o.keep && ctx.Err() == nil {
		r.summary()
		printNext(r, conf, o)
	} else {
		r.step("everything is taken down")
		err := up.stop()
		r.check("imprint up ends without an error", err == nil, seen("", err))
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

// upProcess is a running imprint up.
type upProcess struct {
	cmd   *exec.Cmd
	ended chan error
}

// startLimit bounds the wait for imprint up to be ready.
const startLimit = 30 * time.Second

// startUp starts imprint up and waits until it says that it is ready.
func startUp(ctx context.Context, o demoOptions) (*upProcess, error) {
	ready, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(o.stateDir, "ready"), Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("listen for readiness: %w", err)
	}
	defer os.Remove(filepath.Join(o.stateDir, "ready"))
	defer ready.Close()
	logPath := filepath.Join(o.stateDir, logName)
	logFile, err := os.OpenFile(logPath, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log of imprint up: %w", err)
	}
	defer logFile.Close()
	cmd := exec.Command("/proc/self/exe", "up", "--state-dir", o.stateDir,
		"--config", filepath.Join(o.stateDir, configName), "--log-format", "json")
	cmd.Args[0] = "imprint"
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+filepath.Join(o.stateDir, "ready"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if !o.keep {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start imprint up: %w", err)
	}
	up := &upProcess{cmd: cmd, ended: make(chan error, 1)}
	go func() { up.ended <- cmd.Wait() }()
	if err := up.waitReady(ctx, ready, logPath); err != nil {
		return nil, joinErrors(err, up.stop())
	}
	return up, nil
}

func (up *upProcess) waitReady(ctx context.Context, ready *net.UnixConn, logPath string) error {
	said := make(chan struct{})
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := ready.Read(buf)
			if err != nil {
				return
			}
			if strings.Contains(string(buf[:n]), "READY=1") {
				close(said)
				return
			}
		}
	}()
	select {
	case <-said:
		return nil
	case err := <-up.ended:
		up.ended <- nil
		return fmt.Errorf("imprint up ended (%w): %s", orEnded(err), lastError(logPath))
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(startLimit):
		return fmt.Errorf("imprint up is not ready after %s; its log is %s", startLimit, logPath)
	}
}

func orEnded(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
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

// lastError returns the last line of a log.
func lastError(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	last := ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		last = lines.Text()
	}
	return last
}

// stopLimit bounds the wait for imprint up to end.
const stopLimit = 60 * time.Second

// stop asks imprint up to end and waits for it.
func (up *upProcess) stop() error {
	up.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-up.ended:
		return err
	case <-time.After(stopLimit):
		up.cmd.Process.Kill()
		return fmt.Errorf("still running %s after SIGTERM, killed", stopLimit)
	}
}

// playStory logs in and plays the steps.
func playStory(ctx context.Context, r *report, conf config.Config, o demoOptions) error {
	cred, err := adminCredentials(conf, o.stateDir)
	if err != nil {
		return err
	}
	cl, err := login(ctx, cred)
	if err != nil {
		return err
	}
	s := &story{
		report: r, client: cl, machines: container.New(container.Config{Dir: filepath.Join(o.stateDir, instancesDir)}),
		stateDir: o.stateDir, conf: conf, tree: o.tree, loginAs: o.login,
	}
	return s.play(ctx)
}

// printNext says how to use what was left running.
func printNext(r *report, conf config.Config, o demoOptions) {
	cred, err := adminCredentials(conf, o.stateDir)
	if err != nil {
		fmt.Fprintf(r.out, "\nno credentials: %v\n", err)
		return
	}
	fmt.Fprintf(r.out, "\nEverything is left running. The stock client finds it with\n\n%s\nor with %s/clouds.yaml:\n\n"+
		"   export OS_CLIENT_CONFIG_FILE=%s/clouds.yaml OS_CLOUD=imprint\n\nWhat to try next:\n\n"+
		"   openstack server list\n   openstack console log show c3\n   imprint down --state-dir %s\n",
		cred.environment("   "), o.stateDir, o.stateDir, o.stateDir)
}
