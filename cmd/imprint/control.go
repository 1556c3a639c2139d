package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"imprint/host/config"
)

// control answers orders to a running process. Its socket is in the state
// directory; only root and the process's own user can open it.
type control struct {
	reload func() error
	stop   func()
	more   []route
}

// route is an order of one kind of process.
type route struct {
	pattern string
	handle  http.HandlerFunc
}

func (c control) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /reload", func(w http.ResponseWriter, _ *http.Request) {
		if err := c.reload(); err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		}
	})
	mux.HandleFunc("POST /stop", func(http.ResponseWriter, *http.Request) { c.stop() })
	for _, r := range c.more {
		mux.HandleFunc(r.pattern, r.handle)
	}
	return mux
}

func reloadCommand() *cobra.Command {
	var stateDir string
	c := &cobra.Command{
		Use:   "reload",
		Short: "make a running imprint read its configuration file again",
		Long: "Reload checks the configuration file and takes it, or refuses it and goes on with the old one.\n" +
			"A key that only a restart can change is named. SIGHUP does the same, with the answer in the log.\n" +
			"It is for 'imprint up' and every 'serve' and 'agent' on the state directory.",
		Example: "  imprint reload\n  imprint reload --state-dir /srv/imprint",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return reload(cmd.Context(), stateDir)
		},
	}
	stateDirFlag(c, &stateDir)
	return c
}

func downCommand() *cobra.Command {
	var stateDir string
	c := &cobra.Command{
		Use:   "down",
		Short: "stop a running imprint and everything that it started",
		Long: "Down stops the instances, takes down namespaces and listeners, and waits until 'imprint up', or every\n" +
			"'serve' and 'agent' on the state directory, has ended. The state stays; the next start goes on with it.",
		Example: "  imprint down\n  imprint down --state-dir /srv/imprint",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return down(cmd.Context(), stateDir)
		},
	}
	stateDirFlag(c, &stateDir)
	return c
}

// defaultStateDir is that of imprint up and of a node's agents.
const defaultStateDir = "/var/lib/imprint"

func stateDirFlag(c *cobra.Command, dir *string) {
	c.Flags().StringVar(dir, "state-dir", defaultStateDir, "state directory of the process")
}

// agentsOf lists the agents that have a file of a kind in a state directory, ""
// for a process that has the directory alone. name is the file's name.
func agentsOf(stateDir string, name func(agent string) string) []string {
	var agents []string
	for _, agent := range []string{"", computeAgent, networkAgent, metadataAgent} {
		if _, err := os.Lstat(filepath.Join(stateDir, name(agent))); err == nil {
			agents = append(agents, agent)
		}
	}
	return agents
}

// running lists the agents that run on a state directory.
func running(stateDir string) ([]string, error) {
	var agents []string
	for _, agent := range agentsOf(stateDir, controlName) {
		if isHeld(filepath.Join(stateDir, lockName(agent))) {
			agents = append(agents, agent)
		}
	}
	if len(agents) == 0 {
		return nil, joinErrors(fmt.Errorf("no imprint answers on state directory %s", stateDir), left(stateDir))
	}
	return agents, nil
}

// left tells what processes that have ended left behind.
func left(stateDir string) error {
	var errs []error
	for _, agent := range agentsOf(stateDir, leftName) {
		if isHeld(filepath.Join(stateDir, lockName(agent))) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(stateDir, leftName(agent)))
		if err == nil {
			err = errors.New(strings.TrimSpace(string(text)))
		}
		errs = append(errs, err)
	}
	return joinErrors(errs...)
}

// reload has every process on a state directory read its configuration again.
func reload(ctx context.Context, stateDir string) error {
	agents, err := running(stateDir)
	if err != nil {
		return err
	}
	var errs []error
	for _, agent := range agents {
		errs = append(errs, order(ctx, stateDir, agent, "POST /reload", nil, nil))
	}
	return joinErrors(errs...)
}

// order sends an order to the process on a state directory, and decodes what it
// says. what is a method and a path; ask is nil or sent as JSON, say is nil or
// where the answer goes.
func order(ctx context.Context, stateDir, agent, what string, ask, say any) error {
	path := filepath.Join(stateDir, controlName(agent))
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	body, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	method, at, _ := strings.Cut(what, " ")
	c := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: time.Minute}
	req, err := http.NewRequestWithContext(ctx, method, "http://imprint"+at, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := c.Do(req)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%s is for root and for the user of the process alone", path)
	}
	if err != nil {
		return fmt.Errorf("no imprint answers on state directory %s", stateDir)
	}
	defer res.Body.Close()
	answer := io.LimitReader(res.Body, maxAnswer)
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(answer)
		return errors.New(strings.TrimSpace(string(text)))
	}
	if say == nil {
		return nil
	}
	return json.NewDecoder(answer).Decode(say)
}

// maxAnswer bounds what a process says to an order, in bytes.
const maxAnswer = 16 << 20

// down stops the processes on a state directory, waits until they have ended,
// and says what they could not take down.
func down(ctx context.Context, stateDir string) error {
	agents, err := running(stateDir)
	if err != nil {
		return err
	}
	var errs []error
	for _, agent := range agents {
		errs = append(errs, downOne(ctx, stateDir, agent))
	}
	return joinErrors(append(errs, left(stateDir))...)
}

func downOne(ctx context.Context, stateDir, agent string) error {
	lock := filepath.Join(stateDir, lockName(agent))
	text, err := os.ReadFile(lock)
	if err != nil {
		return fmt.Errorf("imprint down: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("%s: %w", lock, err)
	}
	process, openErr := unix.PidfdOpen(pid, 0)
	if openErr == nil {
		defer unix.Close(process)
	}
	if err := order(ctx, stateDir, agent, "POST /stop", nil, nil); err != nil {
		return err
	}
	if openErr == nil {
		return waitEnd(ctx, process)
	}
	return nil
}

// waitEnd waits until a process has ended. pidfd_open(2)
func waitEnd(ctx context.Context, process int) error {
	limit := time.Now().Add(stopLimit)
	for ctx.Err() == nil {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}}, 100)
		if n > 0 {
			return nil
		}
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("wait for imprint to end: %w", err)
		}
		if time.Now().After(limit) {
			return fmt.Errorf("imprint has not ended within %s", stopLimit)
		}
	}
	return ctx.Err()
}

func configCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "config [FILE]",
		Short:   "print a configuration file with every key and its default, or check FILE",
		Example: "  imprint config > imprint.yaml\n  imprint config imprint.yaml",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				fmt.Fprint(cmd.OutOrStdout(), config.Reference())
				return nil
			}
			if _, err := config.Load(args[0]); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: good\n", args[0])
			return nil
		},
	}
}
