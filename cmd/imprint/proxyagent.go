package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"imprint/base/daemon"
	"imprint/host/metadataagent"
	"imprint/host/neutron"
)

// dropInAgent are the options of `imprint agent metadata` as it is started
// instead of neutron-metadata-agent.
type dropInAgent struct {
	files, dirs     []string
	logFile, logDir string
	debug           bool
	load            func(paths ...string) (optionFile, error)
}

// dropInAgentCommand is `imprint agent metadata --config-file FILE …`. load
// reads files by oslo.config's rules.
func dropInAgentCommand(load func(paths ...string) (optionFile, error)) *cobra.Command {
	a := dropInAgent{load: load}
	c := &cobra.Command{
		Use:   "metadata --config-file FILE",
		Short: "metadata agent of a real OpenStack",
		Long: "Does neutron-metadata-agent's work: takes the namespace proxies' requests on a unix socket, looks\n" +
			"the instances up in Neutron, and asks Nova's metadata service. The options are read from\n" +
			"metadata_agent.ini; Neutron's address and user are in its section [neutron].",
		Example: "  imprint agent metadata --config-file /etc/neutron/neutron.conf --config-file /etc/neutron/metadata_agent.ini",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.run(cmd.Context()) },
	}
	f := c.Flags()
	f.StringArrayVar(&a.files, "config-file", nil, "configuration file; of several the last has the last word")
	f.StringArrayVar(&a.dirs, "config-dir", nil, "directory whose *.conf are read after the files")
	f.StringVar(&a.logFile, "log-file", "", "file for the log; empty: standard error")
	f.StringVar(&a.logDir, "log-dir", "", "directory of log-file")
	f.BoolVar(&a.debug, "debug", false, "log more")
	return c
}

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

// options reads the files and those of the directories.
func (a *dropInAgent) options() (agentOptions, error) {
	paths := slices.Clone(a.files)
	for _, dir := range a.dirs {
		more, err := filepath.Glob(filepath.Join(dir, "*.conf"))
		if err != nil {
			return agentOptions{}, err
		}
		paths = append(paths, more...)
	}
	if len(paths) == 0 {
		return agentOptions{}, errors.New("--config-file is needed")
	}
	file, err := a.load(paths...)
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
