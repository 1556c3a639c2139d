package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"imprint/base/daemon"
	"imprint/host/config"
	"imprint/host/container"
)

// upOptions are the flags of imprint up.
type upOptions struct {
	stateDir, configFile, logFormat string
}

func upCommand() *cobra.Command {
	var o upOptions
	c := &cobra.Command{
		Use:   "up",
		Short: "start everything on this machine: a cloud of one node",
		Long: "Up starts the store, the API services, the metadata service and the agents of one node, and runs until\n" +
			"SIGTERM, SIGINT or 'imprint down'. Instances that were running start again with the next 'imprint up'.\n\n" +
			"SIGHUP and 'imprint reload' take a changed configuration file. How to reach the services stands in\n" +
			"clouds.yaml in the state directory.",
		Example: "  imprint up\n  imprint up --state-dir /srv/imprint --config /etc/imprint.yaml\n" +
			"  OS_CLIENT_CONFIG_FILE=/var/lib/imprint/clouds.yaml OS_CLOUD=imprint openstack server list",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needRoot("imprint up"); err != nil {
				return err
			}
			return up(cmd.Context(), o)
		},
	}
	stateDirFlag(c, &o.stateDir)
	c.Flags().StringVar(&o.configFile, "config", "", "configuration file (default: built-in defaults, see 'imprint config')")
	c.Flags().StringVar(&o.logFormat, "log-format", "", "text or json; over the configuration file")
	return c
}

// load reads the configuration as the flags want it.
func (o upOptions) load() (config.Config, error) {
	c, err := config.Load(o.configFile)
	if err != nil {
		return c, err
	}
	switch o.logFormat {
	case "":
	case "text", "json":
		c.Log.Format = o.logFormat
	default:
		return c, &usageError{fmt.Errorf("--log-format: %q is not text or json", o.logFormat)}
	}
	return c, nil
}

// stopGrace is how long everything may take to end.
const stopGrace = 45 * time.Second

// up runs a cloud until it is told to stop.
func up(ctx context.Context, o upOptions) error {
	conf, err := o.load()
	if err != nil {
		return err
	}
	ctx, hup, stop := daemon.Signals(ctx)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	dir, err := openStateDir(o.stateDir)
	if err != nil {
		return err
	}
	l, err := prepare(conf, dir)
	if err != nil {
		dir.undo()
		return err
	}
	defer l.close()
	level := new(slog.LevelVar)
	level.Set(logOf(conf).slogLevel())
	log := daemon.NewLogger(os.Stderr, level, conf.Log.Format == "json")
	n, err := newNode(ctx, conf, dir, log)
	if err != nil {
		return err
	}
	defer n.close()
	reload := func() error { return n.reload(o, level) }
	tasks, err := n.tasks(l, control{reload: reload, stop: cancel})
	if err != nil {
		return err
	}
	tasks = append(tasks,
		daemon.Task{Name: "reload", Run: func(ctx context.Context) error { return reloadOnSignal(ctx, hup, reload, log) }},
		daemon.Task{Name: "ready", Run: n.announce},
	)
	err = daemon.Run(ctx, log, stopGrace, tasks...)
	return joinErrors(err, n.takeDown())
}

// prepare finds out whether the machine can do what is asked, before anything
// is changed on it, and opens the listeners.
func prepare(conf config.Config, dir *stateDir) (listeners, error) {
	if err := checkKernel(); err != nil {
		return listeners{}, err
	}
	if _, err := guestProgram(conf); err != nil {
		return listeners{}, err
	}
	if err := container.New(container.Config{Dir: dir.path, Cgroup: cgroupName(conf.Network.Prefix)}).Check(); err != nil {
		return listeners{}, joinErrors(err)
	}
	return listen(conf)
}

// reloadOnSignal answers SIGHUP; the outcome is in the log.
func reloadOnSignal(ctx context.Context, hup <-chan struct{}, reload func() error, log *slog.Logger) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
			if err := reload(); err != nil {
				log.Error("configuration refused, the old one stays", "err", err)
			}
		}
	}
}

// announce says that everything is started, once metadata can be answered.
func (n *node) announce(ctx context.Context) error {
	select {
	case <-n.index.Ready():
	case <-ctx.Done():
		return nil
	}
	n.log.Info("imprint is up", "node", n.name, "auth_url", authURL(n.conf), "clouds_yaml", n.dir.file(cloudsFile))
	return daemon.Notify(os.Getenv("NOTIFY_SOCKET"), "READY=1")
}
