package main

import (
	"bytes"
	"context"
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

// controlSocket is where a running imprint up takes orders, in its state
// directory; root alone can open it.
const controlSocket = "control.sock"

// control answers orders to a running imprint up.
type control struct {
	reload func() error
	stop   func()
}

func (c control) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /reload", func(w http.ResponseWriter, _ *http.Request) {
		if err := c.reload(); err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		}
	})
	mux.HandleFunc("POST /stop", func(http.ResponseWriter, *http.Request) { c.stop() })
	return mux
}

func reloadCommand() *cobra.Command {
	var stateDir string
	c := &cobra.Command{
		Use:   "reload",
		Short: "make a running imprint up read its configuration file again",
		Long: "Reload checks the configuration file and takes it, or refuses it and goes on with the old one.\n" +
			"A key that only a restart can change is named. SIGHUP does the same, with the answer in the log.",
		Example: "  imprint reload\n  imprint reload --state-dir /srv/imprint",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return order(cmd.Context(), stateDir, "reload")
		},
	}
	stateDirFlag(c, &stateDir)
	return c
}

func downCommand() *cobra.Command {
	var stateDir string
	c := &cobra.Command{
		Use:   "down",
		Short: "stop a running imprint up and everything that it started",
		Long: "Down stops the instances, takes down namespaces and listeners, and waits until imprint up has ended.\n" +
			"The state stays; the next imprint up starts what was running.",
		Example: "  imprint down\n  imprint down --state-dir /srv/imprint",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return down(cmd.Context(), stateDir)
		},
	}
	stateDirFlag(c, &stateDir)
	return c
}

func stateDirFlag(c *cobra.Command, dir *string) {
	c.Flags().StringVar(dir, "state-dir", "/var/lib/imprint", "directory with everything that Imprint keeps")
}

// order sends an order to the imprint up on a state directory.
func order(ctx context.Context, stateDir, what string) error {
	path := filepath.Join(stateDir, controlSocket)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	c := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: time.Minute}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://imprint/"+what, bytes.NewReader(nil))
	if err != nil {
		return err
	}
	res, err := c.Do(req)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("imprint %s needs root", what)
	}
	if err != nil {
		return fmt.Errorf("no imprint up answers on state directory %s", stateDir)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		return nil
	}
	text, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	return errors.New(strings.TrimSpace(string(text)))
}

// down stops the imprint up on a state directory, waits until its process has
// ended, and says what it could not take down.
func down(ctx context.Context, stateDir string) error {
	text, err := os.ReadFile(filepath.Join(stateDir, lockFile))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no imprint up answers on state directory %s", stateDir)
	}
	if err != nil {
		return fmt.Errorf("imprint down: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(stateDir, lockFile), err)
	}
	process, openErr := unix.PidfdOpen(pid, 0)
	if openErr == nil {
		defer unix.Close(process)
	}
	if err := order(ctx, stateDir, "stop"); err != nil {
		return err
	}
	if openErr == nil {
		if err := waitEnd(ctx, process); err != nil {
			return err
		}
	}
	left, err := os.ReadFile(filepath.Join(stateDir, runDir, leftFile))
	if err == nil {
		return errors.New(strings.TrimSpace(string(left)))
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
			return fmt.Errorf("wait for imprint up: %w", err)
		}
		if time.Now().After(limit) {
			return fmt.Errorf("imprint up has not ended within %s", stopLimit)
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
