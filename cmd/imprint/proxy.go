package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"imprint/host/cloud"
)

// proxyOptions are those of neutron-ns-metadata-proxy, by its names (neutron:
// agent/metadata/namespace_proxy.py, 8.0.0).
type proxyOptions struct {
	networkID, routerID string
	pidFile             string
	foreground          bool
	port                uint16
	socket, statePath   string
	user, group         string
	logFile, logDir     string
	debug               bool
}

// proxyCommand is `imprint proxy`: the namespace proxy of one router or
// network, started by hand or by a Neutron agent inside its namespace.
func proxyCommand() *cobra.Command {
	o := proxyOptions{}
	daemonize := true
	c := &cobra.Command{
		Use:   "proxy --router_id ID|--network_id ID",
		Short: "metadata proxy of one router or network, in its namespace",
		Long: "Takes instances' metadata requests in the network namespace that it is started in, and passes\n" +
			"them to the metadata agent. The options are those of neutron-ns-metadata-proxy. It is started\n" +
			"as root and serves as metadata_proxy_user.",
		Example: "  ip netns exec qrouter-$ID imprint proxy --router_id $ID --metadata_proxy_user nobody \\\n" +
			"      --metadata_proxy_socket /var/lib/neutron/metadata_proxy --metadata_port 9697 --pid_file /run/$ID.pid",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.foreground = o.foreground || !daemonize
			return o.run(cmd.Context())
		},
	}
	f := c.Flags()
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(strings.ReplaceAll(name, "-", "_"))
	})
	f.StringVar(&o.networkID, "network_id", "", "network whose instances are served")
	f.StringVar(&o.routerID, "router_id", "", "router whose instances are served")
	f.StringVar(&o.pidFile, "pid_file", "", "file for the process id")
	f.BoolVar(&daemonize, "daemonize", true, "go into the background once requests are taken")
	f.BoolVar(&o.foreground, "nodaemonize", false, "stay in the foreground")
	f.Uint16Var(&o.port, "metadata_port", 9697, "TCP port to listen on")
	f.StringVar(&o.socket, "metadata_proxy_socket", "$state_path/metadata_proxy", "unix socket of the metadata agent")
	f.StringVar(&o.statePath, "state_path", "/var/lib/neutron", "what $state_path stands for")
	f.StringVar(&o.user, "metadata_proxy_user", "", "user (uid or name) that serves; not root")
	f.StringVar(&o.group, "metadata_proxy_group", "", "group (gid or name) that serves; empty: the user's")
	f.StringVar(&o.logFile, "log_file", "", "file for the log; empty: standard error, or none in the background")
	f.StringVar(&o.logDir, "log_dir", "", "directory of log_file")
	f.BoolVar(&o.debug, "debug", false, "log more")
	f.Bool("verbose", false, "has no effect any more")
	f.Bool("metadata_proxy_watch_log", true, "has no effect: the log file is kept open")
	f.Bool("nometadata_proxy_watch_log", false, "has no effect: the log file is kept open")
	return c
}

// key names the router or network as the proxy does.
func (o *proxyOptions) key() (string, error) {
	kind, id := "router/", o.routerID
	if id == "" {
		kind, id = "network/", o.networkID
	}
	switch {
	case o.routerID != "" && o.networkID != "":
		return "", errors.New("both router_id and network_id are given")
	case id == "":
		return "", errors.New("router_id or network_id is needed")
	case !cloud.IsUUID(id):
		return "", fmt.Errorf("%q is not an id", id)
	}
	return kind + id, nil
}

// run starts a proxy without privileges, and stays with it in the foreground.
func (o *proxyOptions) run(ctx context.Context) error {
	key, err := o.key()
	if err != nil {
		return err
	}
	who, err := findAccount(o.user, o.group)
	if err != nil {
		return err
	}
	if who.uid == 0 || who.gid == 0 {
		return errors.New("metadata_proxy_user and metadata_proxy_group must be others than root")
	}
	socket, err := filepath.Abs(strings.ReplaceAll(o.socket, "$state_path", o.statePath))
	if err != nil {
		return err
	}
	log, err := o.openLog()
	if err != nil {
		return err
	}
	if log != nil {
		defer log.Close()
	}
	a := aloneProxy{key: key, who: who, agentSocket: socket, port: o.port, pidFile: o.pidFile, log: log, level: "info", foreground: o.foreground}
	if o.debug {
		a.level = "debug"
	}
	return a.start(ctx)
}

// openLog returns the file of the log, nil for none.
func (o *proxyOptions) openLog() (*os.File, error) {
	if o.logFile == "" {
		if o.foreground {
			return os.Stderr, nil
		}
		return nil, nil
	}
	return openLogFile(o.logDir, o.logFile)
}
