package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"imprint/base/daemon"
	"imprint/host/config"
	"imprint/host/metadataagent"
	"imprint/host/neutron"
)

// dropInAgent are the options of `imprint agent metadata` as it is started
// instead of neutron-metadata-agent.
type dropInAgent struct {
	given           bool     // a file or a directory
	files           []string // those of directories too, in the order of the flags
	logFile, logDir string
	debug           bool
}

// add adds the options to a command.
func (a *dropInAgent) add(c *cobra.Command) {
	f := c.Flags()
	add := func(paths ...string) { a.given, a.files = true, append(a.files, paths...) }
	f.Func("config-file", "metadata_agent.ini, a `file` of a real OpenStack; of several the last has the last word", func(path string) error {
		add(path)
		return nil
	})
	f.Func("config-dir", "`directory` whose *.conf are read, in its place among the files", func(dir string) error {
		paths, err := config.INIFiles(dir)
		add(paths...)
		return err
	})
	f.StringVar(&a.logFile, "log-file", "", "with --config-file: file for the log; empty: standard error")
	f.StringVar(&a.logDir, "log-dir", "", "with --config-file: directory of log-file")
	f.BoolVar(&a.debug, "debug", false, "with --config-file: log more")
}

// wanted reports whether the agent is started as Neutron's.
func (a *dropInAgent) wanted() bool { return a.given }

func (a *dropInAgent) run(ctx context.Context) error {
	o, err := a.options()
	if err != nil {
		return err
	}
	log, closeLog, err := a.logger()
	if err != nil {
		return err
	}
	defer closeLog()
	ctx, _, stop := daemon.Signals(ctx)
	defer stop()
	return o.serve(ctx, log)
}

// options reads the files.
func (a *dropInAgent) options() (agentOptions, error) {
	file, err := config.LoadINI(a.files...)
	if err != nil {
		return agentOptions{}, err
	}
	return readAgentOptions(file)
}

func (a *dropInAgent) logger() (*slog.Logger, func() error, error) {
	level := slog.LevelInfo
	if a.debug {
		level = slog.LevelDebug
	}
	if a.logFile == "" {
		return daemon.NewLogger(os.Stderr, level, false), func() error { return nil }, nil
	}
	f, err := openLogFile(a.logDir, a.logFile)
	if err != nil {
		return nil, nil, err
	}
	return daemon.NewLogger(f, level, false), f.Close, nil
}

// openLogFile opens a log to be gone on with; dir may be empty.
func openLogFile(dir, name string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
}

// serve runs the agent until ctx ends.
func (o agentOptions) serve(ctx context.Context, log *slog.Logger) error {
	ports, err := neutron.New(o.login, log.With("part", "neutron"))
	if err != nil {
		return fmt.Errorf("%w (section [%s] of the configuration)", err, neutronGroup)
	}
	defer ports.Close()
	conf, err := o.agentConfig()
	if err != nil {
		return err
	}
	conf.Ports = ports
	agent, err := metadataagent.New(conf, log.With("part", "metadata-agent"))
	if err != nil {
		return err
	}
	mode, err := o.socketMode()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(o.socket), 0o755); err != nil {
		return err
	}
	l, err := daemon.ListenUnix(o.socket, mode, -1, -1)
	if err != nil {
		return err
	}
	log.Info("metadata agent serves", "socket", o.socket, "mode", fmt.Sprintf("%#o", mode), "service", conf.Services[0])
	return agent.Run(ctx, l)
}

// agentConfig is what the agent is told. Where the proxies' user is named, only
// that one, root and this process's are heard.
func (o agentOptions) agentConfig() (metadataagent.Config, error) {
	c := metadataagent.Config{
		Services: []string{net.JoinHostPort(o.novaHost, strconv.Itoa(o.novaPort))}, Secret: o.secret,
		ProxyUID: uint32(os.Geteuid()), AnyPeer: o.user == "", NeutronForm: o.neutronForm, Limits: o.limits.agent(),
	}
	if o.user != "" {
		proxy, err := findUser(o.user)
		if err != nil {
			return c, fmt.Errorf("metadata_proxy_user: %w", err)
		}
		c.PeerUIDs = []uint32{proxy.uid, 0}
	}
	var err error
	if o.protocol == "https" {
		c.TLS, err = o.novaTLS.config()
	}
	return c, err
}
